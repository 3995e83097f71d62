"""What has become of the reasons of a change, in words: for the hold bar, `tune` and the history."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon import format as fmt
from sockmon.assess.outcome import QUIET_SECONDS
from sockmon.ceilings import TITLES
from sockmon.model.outcome import Outcome, OutcomeKind, Reason
from sockmon.model.plan import Plan
from sockmon.model.severity import ALARMS, SEVERITY_LABELS
from sockmon.tunables import BY_KEY

_CAUSES = {
    "ended": "it has ended or is not visible any more",
    "unread": "it cannot be read any more",
    "elsewhere": "the samples are of another network namespace",
}
MAX_COUNTERS = 2
"""Counters that are named."""
NOT_HELPED: frozenset[OutcomeKind] = frozenset(("unchanged", "worse"))
"""The outcomes in which the change did not help."""


def reason_text(reason: Reason) -> str:
    """Return `accept queue: 0.0.0.0:8081 app[7]: HIT`."""
    title = TITLES.get(reason.ceiling, reason.ceiling)
    return f"{title}: {reason.subject}: {SEVERITY_LABELS[reason.severity]}"


def subject_text(outcome: Outcome) -> str:
    """Return `accept queue 0.0.0.0:8081 app[7]`."""
    return f"{TITLES.get(outcome.ceiling, outcome.ceiling)} {outcome.subject}"


def outcome_text(outcome: Outcome, plan: Plan, short: bool = False) -> str:
    """Return what has become of the alarm, without its name: `left HIT after 8 s, ListenOverflows 0/s`; `short`:
    without the rates."""
    outcome = replace(outcome, rates=()) if short else outcome
    before, now = SEVERITY_LABELS[outcome.before], SEVERITY_LABELS[outcome.severity]
    after = f"after {fmt.duration(outcome.seconds)}"
    if outcome.kind == "unknown":
        return f"cannot be known: {_CAUSES.get(outcome.cause, 'it was not sampled')}"
    if outcome.kind == "waiting":
        return _waiting(outcome, now, after)
    if outcome.kind == "left":
        return f"left {before} {after}{_rates(outcome)}"
    if outcome.kind == "eased":
        return f"{before} before, {now} {after}{_rates(outcome)}"
    what = f"unchanged {after}" if outcome.kind == "unchanged" else f"worse {after}, {now}"
    return f"{what}{_rates(outcome, moving=True)}: {_conclusion(outcome, plan)}"


def _waiting(outcome: Outcome, now: str, after: str) -> str:
    if outcome.quiet is None:
        return f"still {now} {after}{_rates(outcome, moving=True)}"
    seconds = f"{outcome.quiet:.0f} of {QUIET_SECONDS:.0f} s"
    still = f"{now}, " if outcome.severity in ALARMS else ""
    return f"{still}{_counters(outcome)} did not increase for {seconds}"


def _conclusion(outcome: Outcome, plan: Plan) -> str:
    """Return what follows if it did not help: the cause is another one, unless the change is not in effect yet."""
    rows = [BY_KEY[setting.key] for setting in plan.settings if setting.key in BY_KEY]
    late = [row.key.rpartition(".")[2] for row in rows if row.after_restart and outcome.ceiling in row.ceilings]
    if late:
        return f"{', '.join(late)} needs a restart of the program"
    if outcome.limit is not None and outcome.limit_before is not None and outcome.limit > outcome.limit_before:
        return f"the new limit {fmt.limit(outcome.limit)} is reached too"
    return "this was not the cause, roll back"


def _counters(outcome: Outcome) -> str:
    names = dict.fromkeys(_short(name) for name, _ in outcome.rates)
    return ", ".join(names) or "the counter"


def _rates(outcome: Outcome, moving: bool = False) -> str:
    """Return `, ListenOverflows 0/s`; `moving`: only of the counters that increase."""
    shown = {_short(name): rate for name, rate in outcome.rates if rate or not moving}
    return "".join(f", {name} {fmt.pace(rate)}" for name, rate in list(shown.items())[:MAX_COUNTERS])


def _short(counter: str) -> str:
    """Return the name of a counter without its group and its subject: `ListenOverflows`."""
    return counter.partition(" ")[0].removeprefix("TcpExt.")
