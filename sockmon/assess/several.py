"""Several network namespaces in one Report: each is assessed by itself, the host once; all are ranked together."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from sockmon.assess.assessment import Assessment
from sockmon.assess.assessor import DEFAULT_LEVELS, Assessor
from sockmon.assess.readings import MAX_OK_READINGS, worst
from sockmon.assess.unjudged import unjudged
from sockmon.ceilings import CEILINGS
from sockmon.ceilings.level_rules import LevelRules
from sockmon.format import first_names
from sockmon.model.report import Reading, Report
from sockmon.model.severity import URGENCY
from sockmon.model.snapshot import Netns, Snapshot

_PLACES = {row.id: place for place, row in enumerate(CEILINGS)}


class HostAssessor:
    """Takes Snapshots with one or several network namespaces, as an Assessor those with one."""

    def __init__(self, window: float = 60.0, levels: LevelRules = DEFAULT_LEVELS) -> None:
        self._window = window
        self._levels = levels
        self._by_inode: dict[int, Assessor] = {}

    def add(self, snapshot: Snapshot) -> Assessment:
        """Add a Snapshot and return the Assessment of its first namespace, with the Report of all."""
        found = [self._of(netns).add(_view(snapshot, netns)) for netns in snapshot.netns]
        if len(found) == 1:
            return found[0]
        report = _merged(snapshot, [each.report for each in found])
        return dataclasses.replace(found[0], snapshot=snapshot, report=report)

    def has_overfull_queue(self) -> bool:
        """Return whether `Assessor.has_overfull_queue` of any namespace."""
        return any(each.has_overfull_queue() for each in self._by_inode.values())

    def has_hit_counters(self) -> bool:
        """Return whether `Assessor.has_hit_counters` of any namespace."""
        return any(each.has_hit_counters() for each in self._by_inode.values())

    def _of(self, netns: Netns) -> Assessor:
        return self._by_inode.setdefault(netns.inode, Assessor(self._window, self._levels))


def _view(snapshot: Snapshot, netns: Netns) -> Snapshot:
    """Return the Snapshot as if only this namespace were sampled."""
    missing = tuple(entry for entry in snapshot.missing if entry.netns in (0, netns.inode))
    return replace(snapshot, netns=(netns,), missing=missing)


def _merged(snapshot: Snapshot, reports: list[Report]) -> Report:
    """Return one Report: of the host what the first one says, and of each namespace what is its own."""
    first, *others = reports
    own = (row for report in others for row in report.readings if row.netns is not None)
    readings = tuple(_fullest(sorted((*first.readings, *own), key=_urgency_order)))
    return replace(
        first,
        netns=first_names([netns.name for netns in snapshot.netns]),
        verdict=worst(readings),
        readings=readings,
        missing=(*snapshot.missing, *unjudged(snapshot)),
    )


def _urgency_order(row: Reading) -> tuple[float, ...]:
    """Return the sort key of `readings.readings_of`: urgency; of hits, causes before symptoms; how full."""
    place = _PLACES[row.ceiling]
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
