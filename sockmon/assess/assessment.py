"""What the assessor returns for each Snapshot, and the screen draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sockmon.assess.severity_rules import Gauge
from sockmon.assess.time_series import Point
from sockmon.model.detail import DetailQuery
from sockmon.model.report import Reading, ReadingNetns, Report
from sockmon.model.snapshot import Snapshot

Key = tuple[str, str]
"""(ceiling, subject), ("state", TCP state), ("counter", counter name)."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """The newest Snapshot, its Report, and the history of its numbers."""

    snapshot: Snapshot
    report: Report
    gauges: Mapping[Key, Gauge]
    """Every ceiling and subject, also those that the Report leaves out (all processes)."""
    series: Mapping[Key, tuple[Point, ...]]
    """The last minutes of every gauge in the Report and of every TCP state; oldest first."""
    rates: Mapping[Key, float | None]
    """Per second over the window, of the counters (`("counter", "conntrack.drop")`); None for one tick after
    a counter was reset."""
    queries: Mapping[Key, DetailQuery]
    """What the agent can be asked about the subject of a reading; absent if the subject has no details."""
    since: Mapping[Key, float]
    """When each alarm began: wall-clock seconds since the epoch."""
    first_known: frozenset[Key] = frozenset()
    """Alarms that could not be read before they were alarms: they may be older than `since`."""
    started: float = 0.0
    """Wall clock of the first Snapshot: an alarm that began then may be older."""
    by_netns: Mapping[int, Callable[[], Assessment]] = field(default_factory=dict)
    """Of several network namespaces, by inode: returns the Assessment as if only that one were sampled. The other
    fields are those of the host and of the first namespace; `report` and `snapshot` are of all."""
    parts: Mapping[int, Assessment] = field(default_factory=dict)
    """Of several, by inode: the limits of one namespace, without those of the host."""

    gauges_by_query: Mapping[str, Mapping[DetailQuery, Gauge]] = field(default_factory=dict)
    """Ceiling → the gauges of the subjects that have details, by their query. The same object as before if the
    ceiling was not measured again."""

    def of(self, netns: int | ReadingNetns | None) -> Assessment:
        """Return the Assessment as if only this namespace, by its inode or as a Reading names it, were sampled;
        itself if there is no other one, or for None, which is the host."""
        found = self.by_netns.get(_inode(netns))
        return found() if found else self

    @property
    def of_first(self) -> Assessment:
        """The Assessment as if only the first namespace were sampled, mostly that of sockmon itself."""
        return self.of(self.snapshot.netns[0].inode) if self.snapshot.netns else self

    def part_of(self, reading: Reading) -> Assessment:
        """Return the Assessment that has history and queries of a reading; it costs nothing, unlike `of`."""
        return self.parts.get(_inode(reading.netns), self)

    @cached_property
    def _keys(self) -> dict[tuple[str, DetailQuery], Key]:
        return {(key[0], query): key for key, query in self.queries.items()}

    def key(self, ceiling: str, query: DetailQuery) -> Key | None:
        """Return the key of what `ceiling` measures of one process, port group or listener; None if nothing."""
        return self._keys.get((ceiling, query))

    def gauge(self, ceiling: str, query: DetailQuery) -> Gauge | None:
        """Return its numbers; of listeners that share a port and an owner, those of the fullest queue."""
        return self.gauges_by_query.get(ceiling, {}).get(query)

    def series_of(self, ceiling: str, query: DetailQuery) -> tuple[Point, ...]:
        """Return its last minutes; empty if the Report leaves it out."""
        key = self.key(ceiling, query)
        return self.series.get(key, ()) if key else ()


def _inode(netns: int | ReadingNetns | None) -> int:
    return netns.inode if isinstance(netns, ReadingNetns) else netns or 0
