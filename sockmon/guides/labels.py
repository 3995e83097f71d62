"""Labels of verdicts and of states of a verification: the same in text and on the screen."""

from __future__ import annotations

from sockmon import format as fmt
from sockmon.guides.guide import Check, CheckState, Kind, Verdict

VERDICT_LABELS: dict[Verdict, str] = {
    "supports": "Supported",
    "contradicts": "Ruled out",
    "undecided": "Undecided",
}
STATEMENT_LABELS: dict[Kind, str] = {"observe": "Hypothesis", "decide": "Question", "verify": "Claim"}
"""What the statement of a step is, by its kind."""
CHECK_LABELS: dict[CheckState, str] = {
    "met": "Met",
    "not-met": "Not met",
    "waiting": "Waiting",
    "unknown": "Cannot be known",
}


def check_seconds(check: Check) -> str:
    """Return the seconds of a verification: how many more, for how many it has been met, or after how many
    it was decided."""
    seconds = fmt.duration(check.seconds)
    words = {"waiting": f"{seconds} more", "met": f"for {seconds}"}
    return words.get(check.state, f"after {seconds}")
