"""What has become of the reasons of a change, in words: for the hold bar, `tune` and the history."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon import format as fmt
from sockmon.assess.outcome import QUIET_SECONDS
from sockmon.ceilings import TITLES
from sockmon.ceilings.evidence import process_label
from sockmon.model.outcome import Outcome, Reason
from sockmon.model.plan import Plan
from sockmon.model.processes import UNLIMITED
from sockmon.model.severity import ALARMS, SEVERITY_LABELS
from sockmon.tunables import BY_KEY

_CAUSES = {
    "ended": "it has ended or is not visible any more",
    "unread": "it cannot be read any more",
    "elsewhere": "the samples are of another network namespace",
}
MAX_COUNTERS = 2
"""Counters that are named."""


def reason_text(reason: Reason) -> str:
    """Return `accept queue: 0.0.0.0:8081 app[7]: HIT`."""
    title = TITLES.get(reason.ceiling, reason.ceiling)
    return f"{title}: {reason.subject}: {SEVERITY_LABELS[reason.severity]}"


def subject_text(outcome: Outcome) -> str:
    """Return `accept queue 0.0.0.0:8081 app[7]`."""
    return f"{TITLES.get(outcome.ceiling, outcome.ceiling)} {outcome.subject}"


def outcome_text(outcome: Outcome, plan: Plan, short: bool = False) -> str:
    """Return what has become of the alarm, without its name: `left HIT after 8 s, ListenOverflows 0/s`; `short`:
    without the rates, and the new process only if it helped."""
    outcome = replace(outcome, rates=()) if short else outcome
    before, now = SEVERITY_LABELS[outcome.before], SEVERITY_LABELS[outcome.severity]
    after, new = f"after {fmt.duration(outcome.seconds)}", _new_process(outcome, short)
    if outcome.kind == "unknown":
        return f"cannot be known: {_unknown(outcome, short)}"
    if outcome.kind == "waiting":
        return f"{_waiting(outcome, now, after)}{'' if short else new}"
    if outcome.kind == "left":
        return f"left {before} {after}{_rates(outcome)}{new}"
    if outcome.kind == "eased":
        return f"{before} before, {now} {after}{_rates(outcome)}{new}"
    what = f"unchanged {after}" if outcome.kind == "unchanged" else f"worse {after}, {now}"
    return f"{what}{_rates(outcome, moving=True)}{'' if short else new}: {_conclusion(outcome, plan)}"


def _unknown(outcome: Outcome, short: bool) -> str:
    if outcome.cause == "several":
        ended = "" if short else "it has ended, and "
        return f"{ended}which of {outcome.candidates} replaced it is not clear"
    if outcome.cause == "restarted" and outcome.new_process:
        now = f"{process_label(outcome.new_process)} uses only {fmt.count(outcome.used)}"
        return f"{'' if short else 'its new process '}{now} of {fmt.limit(outcome.limit)}"
    return _CAUSES.get(outcome.cause, "it was not sampled")


def _new_process(outcome: Outcome, short: bool) -> str:
    """Return `, new process app[12] with limit 128 → 8,192`; `short`: without the limit."""
    if outcome.new_process is None:
        return ""
    before = fmt.limit(outcome.limit_before)
    now = fmt.limit(UNLIMITED if outcome.limit is None else outcome.limit)
    limit = f"the same limit {now}" if before == now else f"limit {before} → {now}"
    return f", new process {process_label(outcome.new_process)}{'' if short else f' with {limit}'}"


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
    if late and not outcome.new_process:
        return f"{', '.join(late)} needs a restart of the program"
    if outcome.limit is not None and outcome.limit_before is not None and outcome.limit > outcome.limit_before:
        return f"the new limit {fmt.limit(outcome.limit)} is reached too"
    if outcome.new_process and any(setting.pid for setting in plan.settings):
        return "the changed limit has ended with the old process"
    if late:
        return "the new process does not ask for more"
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
