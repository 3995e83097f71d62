"""Verdicts → the readings of a Report: which ones, in which order, with evidence and remedies."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timezone
from heapq import nlargest

from msgspec.structs import replace

from sockmon.assess.severity_rules import Verdict
from sockmon.assess.unjudged import unjudged
from sockmon.ceilings import CEILINGS, Ceiling
from sockmon.ceilings.ceiling import Measure, Window
from sockmon.fault_log import FAULTS
from sockmon.model.report import Reading, ReadingNetns, Remedy, Report
from sockmon.model.severity import URGENCY, Severity
from sockmon.model.snapshot import Missing, Netns, Snapshot

PLACES = {row.id: place for place, row in enumerate(CEILINGS)}
"""The place of each ceiling in the order of causes before symptoms."""
MAX_OK_READINGS = 3
"""Readings without an alarm that a Report lists for each ceiling."""
STALE_SECONDS = 5.0
"""Age from which on a reading states its age."""


def listed(verdicts: Collection[Verdict], max_ok: int) -> list[Verdict]:
    """Return the verdicts of one ceiling that a Report lists: every alarm, and the fullest `max_ok` others."""
    ok = nlargest(max_ok, (item for item in verdicts if item.gauge.severity == "ok"), key=_fullness)
    return [item for item in verdicts if item.gauge.severity != "ok"] + ok


def readings_of(of_ceilings: Iterable[Iterable[Verdict]], window: Window) -> list[Reading]:
    """Return the readings of what is `listed` of each ceiling; most urgent first."""
    shown = [item for of_ceiling in of_ceilings for item in of_ceiling]
    return [_reading(item, window) for item in sorted(shown, key=_urgency_order)]


def _fullness(item: Verdict) -> float:
    if item.measure.effective_used == 0:
        return 0.0
    return item.gauge.ratio if item.gauge.ratio is not None else -1.0


def _urgency_order(item: Verdict) -> tuple[float, ...]:
    """Return the sort key: urgency; then, of hits, causes before symptoms; then how full."""
    urgency = URGENCY[item.gauge.severity]
    place = PLACES[item.ceiling.id]
    return (-urgency, place if item.gauge.severity == "hit" else 0, -_fullness(item), place)


def _reading(item: Verdict, window: Window) -> Reading:
    ceiling, measure, gauge = item.ceiling, item.measure, item.gauge
    evidence: tuple[str, ...] = (measure.unknown_reason,)
    remedies: tuple[Remedy, ...] = ()
    missing: tuple[Missing, ...] = ()
    if gauge.severity == "unknown":
        missing = _entries_of(measure.missing, window.now)
    if gauge.severity != "unknown" or measure.has_evidence:
        evidence, remedies = _evidence_and_remedies(ceiling, measure, window)
    if gauge.severity == "unknown":
        # There is no alarm, but who uses the most is known.
        remedies = tuple(remedy for remedy in remedies if remedy.pid is not None)
    return Reading(
        ceiling=ceiling.id,
        subject=measure.subject,
        scope=measure.scope or ceiling.scope,
        used=gauge.used,
        limit=gauge.limit,
        ratio=_rounded(gauge.ratio, 4),
        rate=_rounded(gauge.rate, 3),
        eta_seconds=_rounded(gauge.eta_seconds, 1),
        severity=gauge.severity,
        evidence=evidence,
        remedies=remedies,
        missing=missing,
        warning=_rounded(gauge.warning, 4),
        critical=_rounded(gauge.critical, 4),
        netns=_netns(window.netns) if ceiling.of_netns else None,
        name=measure.name,
        shares=measure.shares,
    )


def _netns(netns: Netns) -> ReadingNetns:
    return ReadingNetns(netns.inode, netns.name, netns.kind, netns.container, netns.entry)


def _entries_of(missing: Missing | None, now: Snapshot) -> tuple[Missing, ...]:
    """Return the entries of the Snapshot that are `missing`; older recordings do not note what is not judged."""
    if missing is None:
        return ()
    wanted = replace(missing, unjudged="")
    return tuple(entry for entry in now.missing if replace(entry, unjudged="") == wanted)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _evidence_and_remedies(
    ceiling: Ceiling, measure: Measure, window: Window
) -> tuple[tuple[str, ...], tuple[Remedy, ...]]:
    """Return evidence and remedies; if they raise, the fault: the numbers of the reading are still right."""
    try:
        evidence = (*ceiling.evidence(window, measure), *_age(measure, window.now))
        return evidence, tuple(ceiling.remedies(window, measure))
    except Exception as error:
        return (f"evidence: {FAULTS.note(ceiling.id, error)}",), ()


def _age(measure: Measure, now: Snapshot) -> list[str]:
    """Return the age of a number that is expensive to read, and so is read less often than the others."""
    age = now.at - measure.at if measure.at is not None else 0.0
    return [f"read {age:.0f} s ago"] if age >= STALE_SECONDS else []


def report_of(snapshot: Snapshot, netns: Netns, readings: list[Reading]) -> Report:
    """Return the Report with these readings; its verdict is the worst of them."""
    return Report(
        schema=1,
        host=snapshot.host.name,
        kernel=snapshot.host.kernel,
        time=datetime.fromtimestamp(snapshot.wall, timezone.utc).isoformat(timespec="milliseconds"),
        netns=netns.name,
        verdict=worst(readings),
        readings=tuple(readings),
        missing=(*snapshot.missing, *unjudged(snapshot)),
        owners_known=_rounded(snapshot.processes.owners_known, 4) if snapshot.processes else None,
    )


def worst(readings: Iterable[Reading]) -> Severity:
    """Return the worst known severity; unknown if there is none."""
    return max((reading.severity for reading in readings), key=URGENCY.__getitem__, default="unknown")
