"""Several network namespaces in one Report: each is assessed by itself, the host once; all are ranked together."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from msgspec.structs import fields, replace

from sockmon.assess.assessment import Assessment
from sockmon.assess.assessor import DEFAULT_LEVELS, Assessor
from sockmon.assess.readings import MAX_OK_READINGS, PLACES, worst
from sockmon.assess.unjudged import unjudged
from sockmon.ceilings import CEILINGS
from sockmon.ceilings.level_rules import LevelRules
from sockmon.format import first_names, plural
from sockmon.model.report import Reading, Report
from sockmon.model.severity import URGENCY
from sockmon.model.snapshot import Missing, Netns, Snapshot

HOST_CEILINGS = tuple(row for row in CEILINGS if not row.of_netns)
NETNS_CEILINGS = tuple(row for row in CEILINGS if row.of_netns)
OTHERS_MAX_OK = 1
"""Readings without an alarm that each of the other namespaces adds for a ceiling; MAX_OK_READINGS of all are
listed."""
_READ = tuple(field.name for field in fields(Netns) if field.name != "at")
FORGET_SECONDS = 60.0
"""Time after which the history of a namespace that is not sampled any more is dropped."""


class HostAssessor:
    """Takes Snapshots with one or several network namespaces, as an Assessor those with one."""

    def __init__(self, window: float = 60.0, levels: LevelRules = DEFAULT_LEVELS) -> None:
        self._window = window
        self._levels = levels
        self._host = Assessor(window, levels, HOST_CEILINGS)
        self._parts: dict[int, _Part] = {}

    def add(self, snapshot: Snapshot) -> Assessment:
        """Add a Snapshot and return the Assessment of its first namespace and the host, with the Report of all."""
        host = self._host.add(snapshot)
        parts = [self._part(netns, first=index == 0) for index, netns in enumerate(snapshot.netns)]
        missing = _missing_by_netns(snapshot)
        own = [
            part.add(snapshot, netns, missing.get(netns.inode, missing[0]))
            for part, netns in zip(parts, snapshot.netns, strict=True)
        ]
        self._forget(snapshot.at)
        host = _host_alone(host, own[0])
        if len(own) == 1:
            return _alone(snapshot, host, own[0])
        found = {netns.inode: each for netns, each in zip(snapshot.netns, own, strict=True)}
        return dataclasses.replace(
            _joined(snapshot, host, own[0]),
            report=_report_of_all(snapshot, host.report, [each.report for each in own]),
            by_netns={inode: _Once(partial(_alone, snapshot, host, each)) for inode, each in found.items()},
            parts=found,
        )

    def has_overfull_queue(self) -> bool:
        """Return whether `Assessor.has_overfull_queue` of any namespace."""
        return any(part.assessor.has_overfull_queue() for part in self._parts.values())

    def has_unproved_counters(self, seconds: float) -> bool:
        """Return whether `Assessor.has_unproved_counters` of the host or of any namespace."""
        return self._host.has_unproved_counters(seconds) or any(
            part.assessor.has_unproved_counters(seconds) for part in self._parts.values()
        )

    def _part(self, netns: Netns, first: bool) -> _Part:
        found = self._parts.get(netns.inode)
        if found is None or not found.is_of(netns):
            max_ok = MAX_OK_READINGS if first else OTHERS_MAX_OK
            found = self._parts[netns.inode] = _Part(self._window, self._levels, max_ok)
        return found

    def _forget(self, at: float) -> None:
        for inode in [inode for inode, part in self._parts.items() if not 0 <= at - part.at <= FORGET_SECONDS]:
            del self._parts[inode]


class _Part:
    """One namespace: its limits, without those of the host."""

    def __init__(self, window: float, levels: LevelRules, max_ok: int) -> None:
        self.assessor = Assessor(window, levels, NETNS_CEILINGS, max_ok)
        self.at = 0.0
        """When it was sampled last."""
        self._netns: Netns | None = None
        self._missing: tuple[Missing, ...] = ()
        self._last: Assessment | None = None
        """The last Assessment, if nothing in it changes as long as the namespace does not."""

    def is_of(self, netns: Netns) -> bool:
        """Return whether it is the same namespace: the kernel uses the number of one that has ended again."""
        last = self._netns
        if last is not None and last.cookie and netns.cookie:
            return last.cookie == netns.cookie
        return last is None or not (last.container and netns.container) or last.container == netns.container

    def add(self, snapshot: Snapshot, netns: Netns, missing: tuple[Missing, ...]) -> Assessment:
        """Return the Assessment of its limits: the last one if nothing was read since, and all was well.

        `missing`: the entries of the Snapshot about the namespace and about the host."""
        self.at = snapshot.at
        if self._last is not None and missing == self._missing and _is_unchanged(netns, self._netns):
            # The same object, if it is not read again, is compared at once.
            self._netns = netns
            return self._last
        self._netns, self._missing = netns, missing
        # What the limits of a namespace do not need is left out: a host can have thousands of cgroups.
        found = self.assessor.add(
            replace(snapshot, netns=(netns,), missing=missing, softnet=None, neighbours=None, cgroups=None)
        )
        self._last = found if netns.at is not None and _is_quiet(found) else None
        return found


def _is_quiet(found: Assessment) -> bool:
    """Return whether all is well and nothing moves: a rate becomes less with time alone."""
    moving = any(found.rates.values()) or any(gauge.rate for gauge in found.gauges.values())
    return not moving and all(row.severity == "ok" for row in found.report.readings)


def _is_unchanged(now: Netns, before: Netns | None) -> bool:
    """Return whether nothing but the time of reading differs; equal parts are mostly the same objects."""
    if now is before or before is None:
        return now is before
    pairs = ((getattr(now, name), getattr(before, name)) for name in _READ)
    return all(new is old or new == old for new, old in pairs)


def _missing_by_netns(snapshot: Snapshot) -> dict[int, tuple[Missing, ...]]:
    """Return what could not be read, by namespace; by 0 what all others miss: the entries of the host."""
    inodes = {0, *(entry.netns for entry in snapshot.missing)}
    return {inode: tuple(entry for entry in snapshot.missing if entry.netns in (0, inode)) for inode in inodes}


def _host_alone(host: Assessment, first: Assessment) -> Assessment:
    """Return the Assessment of the host without what its assessor took from the first namespace."""
    return dataclasses.replace(
        host,
        series={key: points for key, points in host.series.items() if key[0] != "state"},
        rates={key: rate for key, rate in host.rates.items() if key not in first.rates},
    )


def _joined(snapshot: Snapshot, host: Assessment, own: Assessment) -> Assessment:
    """Return the numbers of the host and of one namespace together; the Report is to be replaced."""
    return dataclasses.replace(
        own,
        snapshot=snapshot,
        gauges={**host.gauges, **own.gauges},
        series={**host.series, **own.series},
        rates={**host.rates, **own.rates},
        gauges_by_query={**host.gauges_by_query, **own.gauges_by_query},
        queries={**host.queries, **own.queries},
        since={**host.since, **own.since},
        first_known=host.first_known | own.first_known,
    )


def _alone(snapshot: Snapshot, host: Assessment, own: Assessment) -> Assessment:
    """Return the Assessment as if only this namespace were sampled."""
    (netns,) = own.snapshot.netns
    missing = _missing_by_netns(snapshot)
    view = replace(snapshot, netns=(netns,), missing=missing.get(netns.inode, missing[0]))
    readings = tuple(sorted((*host.report.readings, *own.report.readings), key=_urgency_order))
    return dataclasses.replace(_joined(view, host, own), report=_report(host.report, view, readings, netns.name))


class _Once:
    """Calls `build` when it is needed first, and keeps what it returns."""

    def __init__(self, build: Callable[[], Assessment]) -> None:
        self._build = build
        self._built: Assessment | None = None

    def __call__(self) -> Assessment:
        self._built = self._built or self._build()
        return self._built


def _report_of_all(snapshot: Snapshot, host: Report, of_netns: Sequence[Report]) -> Report:
    """Return one Report: the readings of the host once, and those of each namespace."""
    first, *others = of_netns
    known = frozenset(_reason(row) for row in first.readings if row.severity == "unknown")
    more = (row for report in others for row in report.readings)
    # What cannot be known in any namespace of this host is said once.
    own = _grouped(row for row in more if row.severity != "unknown" or _reason(row) not in known)
    rows = (*host.readings, *first.readings, *own)
    readings = tuple(_fullest(sorted(rows, key=_urgency_order)))
    names = [netns.name for netns in snapshot.netns if netns.at is None] or [snapshot.netns[0].name]
    quiet = sum(
        netns.at is not None and all(row.severity == "ok" or _reason(row) in known for row in report.readings)
        for netns, report in zip(snapshot.netns[1:], others, strict=True)
    )
    return replace(_report(host, snapshot, readings, first_names(names)), quiet_netns=quiet)


def _report(host: Report, snapshot: Snapshot, readings: tuple[Reading, ...], netns: str) -> Report:
    missing = (*snapshot.missing, *unjudged(snapshot))
    return replace(host, netns=netns, verdict=worst(readings), readings=readings, missing=missing)


def _reason(row: Reading) -> object:
    """Return what an unknown reading is about, and why; of another one itself."""
    return (row.ceiling, row.evidence) if row.severity == "unknown" else row


def without_quiet(report: Report, snapshot: Snapshot) -> Report:
    """Return `report` without the readings of the namespaces that are read in turn, except for what is not ok."""
    others = {netns.inode for netns in snapshot.netns[1:] if netns.at is not None}
    own = (
        row
        for row in report.readings
        if row.netns is None or row.netns.inode not in others or row.severity != "ok"
    )
    return replace(report, readings=tuple(own))


def _grouped(rows: Iterable[Reading]) -> Iterator[Reading]:
    """Yield the readings of the other namespaces. What is unknown in many of them for the same reason is one
    reading; what was not read because nothing made it necessary is none."""
    unknown: defaultdict[object, list[Reading]] = defaultdict(list)
    for row in rows:
        if row.severity != "unknown":
            yield row
        elif row.missing:
            unknown[_reason(row)].append(row)
    for same in unknown.values():
        first = same[0]
        more = f" and {plural(len(same) - 1, 'more namespace')}" if len(same) > 1 else ""
        yield replace(first, subject=f"{first.subject}{more}")


def _urgency_order(row: Reading) -> tuple[float, ...]:
    """Return the sort key of `readings.readings_of`: urgency; of hits, causes before symptoms; how full."""
    place = PLACES[row.ceiling]
    fullness = -1.0 if row.ratio is None else row.ratio if row.used else 0.0
    return (-URGENCY[row.severity], place if row.severity == "hit" else 0, -fullness, place)


def _fullest(rows: Iterable[Reading]) -> Iterator[Reading]:
    """Yield all but the emptiest readings without an alarm, of which there are as many as namespaces."""
    listed: Counter[str] = Counter()
    for row in rows:
        if row.severity == "ok":
            listed[row.ceiling] += 1
        if row.severity != "ok" or listed[row.ceiling] <= MAX_OK_READINGS:
            yield row


def has_several(report: Report) -> bool:
    """Return whether the readings are about more than one network namespace."""
    return len({row.netns.inode for row in report.readings if row.netns is not None}) > 1


def subject_in(reading: Reading, several: bool) -> str:
    """Return the subject of a reading, after its network namespace if there are `several`."""
    name = reading.netns.name if several and reading.netns else ""
    return f"{name}: {reading.subject}" if name not in ("", reading.subject) else reading.subject
