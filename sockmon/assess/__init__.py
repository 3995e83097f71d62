"""A window of Snapshots → an Assessment. Pure: no clock, no files; the same stream gives the same verdicts."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from sockmon.assess.judge import Gauge, Judged, empty, judge
from sockmon.assess.slope import Point, Slope, slope
from sockmon.assess.trail import AllCounters, Trail
from sockmon.ceilings import CEILINGS, Ceiling
from sockmon.ceilings.ceiling import Measure, Window
from sockmon.model.detail import Focus
from sockmon.model.report import URGENCY, Reading, Remedy, Report
from sockmon.model.snapshot import Netns, Snapshot

Key = tuple[str, str]
"""(ceiling, subject), ("state", TCP state), ("counter", counter name)."""

QUIET = 3
"""Readings without an alarm that a Report lists per ceiling."""
AGED = 5.0
"""Seconds after which a reading says how old it is."""
FORGET = 600.0
"""Seconds of history that a trail keeps."""

__all__ = ["Assessment", "Assessor", "Gauge", "Key", "Point"]


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the screen draws: the newest Snapshot, its Report, and the trails that led there."""

    snapshot: Snapshot
    report: Report
    gauges: Mapping[Key, Gauge]
    """Every ceiling and subject, also those that the Report leaves out (all processes)."""
    trails: Mapping[Key, tuple[Point, ...]]
    """The last minutes of every gauge in the Report and of every TCP state; oldest first."""
    rates: Mapping[Key, float | None]
    """Per second over the window, of the counters (`("counter", "conntrack.drop")`); None for one tick after
    a counter went backwards."""
    focuses: Mapping[Key, Focus]
    """What opens when a reading is opened, where there is something to open."""
    since: Mapping[Key, float]
    """When each alarm began: wall-clock seconds since the epoch."""
    begun: float = 0.0
    """Wall clock of the first Snapshot: an alarm that is as old may be older."""


class Assessor:
    """Feeds on Snapshots, one at a time, oldest first; keeps what rates, trends and steady severities need."""

    def __init__(self, window: float = 60.0) -> None:
        self.window = window
        self._identity: tuple[str, int] | None = None
        self._begun = 0.0
        self._forget_everything()

    def _forget_everything(self) -> None:
        self._trails: defaultdict[Key, Trail] = defaultdict(lambda: Trail(FORGET))
        self._pressing: defaultdict[Key, Trail] = defaultdict(lambda: Trail(self.window))
        self._staying: defaultdict[Key, Trail] = defaultdict(lambda: Trail(self.window))
        self._judged: dict[Key, Judged] = {}
        self._as_of: dict[str, object] = {}
        self._by_ceiling: dict[str, dict[Key, Judged]] = {}
        self._since: dict[Key, float] = {}
        self._counters = AllCounters(self.window)
        self._queues: deque[tuple[float, dict[int, int]]] = deque()

    def add(self, snapshot: Snapshot) -> Assessment:
        """The Assessment after one more Snapshot."""
        netns = snapshot.netns[0]
        identity = (snapshot.host.boot_id, netns.inode)
        if identity != self._identity:
            # Another boot or another namespace: nothing of before can be compared.
            self._identity, self._begun = identity, snapshot.wall
            self._forget_everything()
        window = self._window(snapshot, netns)
        judged: dict[Key, Judged] = {}
        for ceiling in CEILINGS:
            judged |= self._judge_all(ceiling, window)
        self._remember(judged, snapshot)
        readings = _readings(judged, window)
        return Assessment(
            snapshot=snapshot,
            report=_report(snapshot, netns, readings),
            gauges={key: item.gauge for key, item in judged.items()},
            trails=self._shown_trails(readings),
            rates=self._counters.rates(),
            focuses={key: item.measure.focus for key, item in judged.items() if item.measure.focus},
            since=dict(self._since),
            begun=self._begun,
        )

    def overfull(self) -> bool:
        """True where a queue holds more than its limit: is it still so at the next look?"""
        return any(item.over and item.measure.momentary for item in self._judged.values())

    def ever_hit(self) -> bool:
        """True where a counter that proves a hit has moved since the kernel began to count: is it still?"""
        now = self._counters.now
        proofs = {proof for ceiling in CEILINGS for proof in ceiling.proofs}
        return any(value and name.partition(" ")[0] in proofs for name, value in now.items())

    def _window(self, snapshot: Snapshot, netns: Netns) -> Window:
        self._counters.add(snapshot)
        for state, count in (netns.states.tcp if netns.states else {}).items():
            self._trails["state", state].add(snapshot.at, count.total)
        return Window(
            snapshot, netns, self._counters.moved(), self._counters.seconds, self._fullest(snapshot.at, netns)
        )

    def _fullest(self, at: float, netns: Netns) -> dict[int, int]:
        """Each listener's longest queue inside the window: the counters do not say whose queue it was."""
        self._queues.append((at, {item.inode: item.queue for item in netns.listeners or () if item.queue}))
        while self._queues[0][0] < at - self.window:
            self._queues.popleft()
        fullest: dict[int, int] = {}
        for _, queues in self._queues:
            for inode, queue in queues.items():
                fullest[inode] = max(queue, fullest.get(inode, 0))
        return fullest

    def _judge_all(self, ceiling: Ceiling, window: Window) -> dict[Key, Judged]:
        """Every subject of a ceiling; as before, where nothing of it was read since."""
        as_of = ceiling.as_of(window.now) if ceiling.as_of else None
        if as_of is None or as_of != self._as_of.get(ceiling.id):
            self._as_of[ceiling.id] = as_of
            measures = {(ceiling.id, measure.subject): measure for measure in ceiling.measure(window)}
            self._by_ceiling[ceiling.id] = {
                key: self._judge(key, ceiling, measure, window.now) for key, measure in measures.items()
            }
        return self._by_ceiling[ceiling.id]

    def _judge(self, key: Key, ceiling: Ceiling, measure: Measure, snapshot: Snapshot) -> Judged:
        before = self._judged.get(key)
        if before is None and measure.momentary and ceiling.id in self._by_ceiling:
            before = empty(ceiling, measure)
        if measure.used is None:
            return judge(ceiling, measure, None, None, None, 0.0, before)
        at = measure.at if measure.at is not None else snapshot.at
        trail = self._trails[key]
        trail.add(at, measure.used)
        if before is not None and before.stays(measure):
            return before._replace(measure=measure)
        growth = pressure = slope(trail.points, self.window)
        staying = None
        if measure.pressing is not None:
            pressure = self._slope(self._pressing, key, at, measure.pressing)
        if measure.lasts is not None:
            staying = self._slope(self._staying, key, at, measure.used - measure.passing)
        return judge(ceiling, measure, growth, pressure, staying, trail.span(self.window), before)

    def _slope(self, trails: defaultdict[Key, Trail], key: Key, at: float, value: int) -> Slope | None:
        trails[key].add(at, value)
        return slope(trails[key].points, self.window)

    def _remember(self, judged: dict[Key, Judged], snapshot: Snapshot) -> None:
        alarms = {key for key, item in judged.items() if URGENCY[item.gauge.severity] >= URGENCY["warning"]}
        self._since = {key: self._since.get(key, snapshot.wall) for key in alarms}
        self._judged = judged
        for key in [key for key in self._trails if key[0] != "state" and key not in judged]:
            del self._trails[key]
            self._pressing.pop(key, None)
            self._staying.pop(key, None)

    def _shown_trails(self, readings: Iterable[Reading]) -> dict[Key, tuple[Point, ...]]:
        shown = [(reading.ceiling, reading.subject) for reading in readings]
        shown += [key for key in self._trails if key[0] == "state"]
        return {key: tuple(self._trails[key].points) for key in shown if key in self._trails}


def _readings(judged: Mapping[Key, Judged], window: Window) -> list[Reading]:
    """Every alarm, and of each ceiling its worst few besides; most urgent first."""
    shown: list[Judged] = []
    for ceiling in CEILINGS:
        own = [item for item in judged.values() if item.ceiling is ceiling]
        quiet = sorted((item for item in own if item.gauge.severity == "ok"), key=_fullness, reverse=True)
        shown += [item for item in own if item.gauge.severity != "ok"] + quiet[:QUIET]
    return [_reading(item, window) for item in sorted(shown, key=_order)]


def _fullness(item: Judged) -> float:
    if item.measure.pressing == 0:
        return 0.0
    return item.gauge.ratio if item.gauge.ratio is not None else -1.0


def _order(item: Judged) -> tuple[float, ...]:
    """Urgency first; hits in the order of causes; the rest by how full."""
    urgency = URGENCY[item.gauge.severity]
    cause = CEILINGS.index(item.ceiling) if item.gauge.severity == "hit" else 0
    return (-urgency, cause, -_fullness(item), CEILINGS.index(item.ceiling))


def _reading(item: Judged, window: Window) -> Reading:
    ceiling, measure, gauge = item.ceiling, item.measure, item.gauge
    if gauge.severity == "unknown":
        evidence: tuple[str, ...] = (measure.unseen,)
        remedies: tuple[Remedy, ...] = ()
    else:
        evidence = (*ceiling.evidence(window, measure), *_age(measure, window.now))
        remedies = tuple(ceiling.remedies(window, measure))
    return Reading(
        ceiling=ceiling.id,
        subject=measure.subject,
        scope=ceiling.scope,
        used=gauge.used,
        limit=gauge.limit,
        ratio=round(gauge.ratio, 4) if gauge.ratio is not None else None,
        rate=round(gauge.rate, 3) if gauge.rate is not None else None,
        eta_seconds=round(gauge.eta_seconds, 1) if gauge.eta_seconds is not None else None,
        severity=gauge.severity,
        evidence=evidence,
        remedies=remedies,
    )


def _age(measure: Measure, now: Snapshot) -> list[str]:
    """What is dear to read is read seldom, and says so."""
    age = now.at - measure.at if measure.at is not None else 0.0
    return [f"read {age:.0f} s ago"] if age >= AGED else []


def _report(snapshot: Snapshot, netns: Netns, readings: list[Reading]) -> Report:
    verdict = max((reading.severity for reading in readings), key=lambda level: URGENCY[level])
    return Report(
        schema=1,
        host=snapshot.host.name,
        kernel=snapshot.host.kernel,
        time=datetime.fromtimestamp(snapshot.wall, timezone.utc).isoformat(timespec="milliseconds"),
        netns=netns.name,
        verdict=verdict,
        readings=tuple(readings),
        missing=snapshot.missing,
    )
