"""The alarms that a change is meant to end: those that name one of its settings as a remedy, or the one that the
tuning panel was opened on."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.assess.assessment import Key
from sockmon.assess.outcome import reason_of
from sockmon.model.plan import MAX_REASONS, Plan
from sockmon.model.report import Reading, Report
from sockmon.model.severity import ALARMS
from sockmon.model.snapshot import Snapshot
from sockmon.tuning.planning.advice import settable_remedies

MAX_SUBJECT_CHARACTERS = 1000


def with_reasons(plan: Plan, report: Report | None, snapshot: Snapshot | None, opened: Key | None = None) -> Plan:
    """Return `plan` with the alarms of this moment that it is meant to end, the most urgent first.

    `opened` is the reading that the user wanted to change something about: if it is an alarm, it is the reason."""
    if report is None or snapshot is None or plan.undoes:
        return plan
    alarms = [row for row in report.readings if row.severity in ALARMS and _is_about(row, plan)]
    found = [row for row in alarms if row.key == opened] or [row for row in alarms if _has_remedy(row, plan)]
    found = [row for row in found if len(row.subject) <= MAX_SUBJECT_CHARACTERS]
    changed = tuple(each for each in snapshot.netns if each.inode == plan.netns)
    view = replace(snapshot, netns=changed or snapshot.netns)
    return replace(plan, reasons=tuple(reason_of(row, view) for row in found[:MAX_REASONS]))


def _is_about(reading: Reading, plan: Plan) -> bool:
    """Return whether it is about the host, or about the network namespace that the plan changes."""
    return reading.netns is None or reading.netns.inode in (0, plan.netns)


def _has_remedy(reading: Reading, plan: Plan) -> bool:
    names = {setting.name for setting in plan.settings}
    return any(each.key in names for each in settable_remedies(reading))
