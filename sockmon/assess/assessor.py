"""The stream of Snapshots → an Assessment after each: measures every ceiling and judges it against its history."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from sockmon.assess.assessment import Assessment, Key
from sockmon.assess.counters import CountersByOrigin
from sockmon.assess.eta import Trend, climb, recent_climb, slope
from sockmon.assess.readings import MAX_OK_READINGS, listed, readings_of, report_of
from sockmon.assess.severity_rules import Gauge, Verdict, judge, may_be_full_soon, previously_empty
from sockmon.assess.time_series import Point, TimeSeries
from sockmon.ceilings import CEILINGS, Ceiling
from sockmon.ceilings.ceiling import Measure, Window
from sockmon.ceilings.level_rules import LevelRules
from sockmon.ceilings.measuring import unknown_measure
from sockmon.fault_log import FAULTS
from sockmon.model.detail import DetailQuery
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS
from sockmon.model.snapshot import HIDDEN_PROCESSES, Missing, Netns, Snapshot

DEFAULT_LEVELS = LevelRules()
UNKNOWN_SECONDS = 5.0
"""Seconds for which a ceiling is unknown before that counts: some are read only after the first samples."""
PART_READ = {
    "bound-ports": "ports",
    "ephemeral-ports": "ports",
    "snat-ports": "snat",
    "syn-queue": "states",
    "udp-buffers": "udp",
    "udp-ports": "udp",
    "unix-dgram-queue": "datagrams",
}
"""What a ceiling measures of a namespace, if `Netns.ruled_out` can have it: then no limit of it is near."""
HISTORY_SECONDS = 600.0
"""History that is kept of each gauge."""


class Assessor:
    """Takes Snapshots, one at a time, oldest first; keeps the history that rates, trends and hysteresis need."""

    def __init__(
        self,
        window: float = 60.0,
        levels: LevelRules = DEFAULT_LEVELS,
        ceilings: Sequence[Ceiling] = CEILINGS,
        max_ok: int = MAX_OK_READINGS,
    ) -> None:
        self.window = window
        self._levels = levels
        self._ceilings = ceilings
        self._max_ok = max_ok
        self._identity: tuple[str, int, int] | None = None
        self._started = 0.0
        self._reset()

    def _reset(self) -> None:
        self._series: defaultdict[Key, TimeSeries] = defaultdict(lambda: TimeSeries(HISTORY_SECONDS))
        self._effective_series: defaultdict[Key, TimeSeries] = defaultdict(lambda: TimeSeries(self.window))
        self._lasting_series: defaultdict[Key, TimeSeries] = defaultdict(lambda: TimeSeries(self.window))
        self._verdicts: dict[Key, Verdict] = {}
        self._verdicts_by_ceiling: dict[str, dict[Key, Verdict]] = {}
        self._listed: dict[str, list[Verdict]] = {}
        self._gauges_by_query: dict[str, dict[DetailQuery, Gauge]] = {}
        self._change_keys: dict[str, object] = {}
        self._unchanged_at: dict[str, float] = {}
        """The time of the last Snapshot for which the verdicts of a ceiling were kept."""
        self._since: dict[Key, float] = {}
        self._first_known: set[Key] = set()
        self._unknown_since: dict[str, float] = {}
        self._counters = CountersByOrigin(self.window)
        self._queues: deque[tuple[float, dict[int, int]]] = deque()

    def add(self, snapshot: Snapshot) -> Assessment:
        """Add a Snapshot and return the Assessment as of it."""
        netns = snapshot.netns[0]
        identity = (snapshot.host.boot_id, netns.inode, netns.cookie)
        if identity != self._identity:
            # Numbers of another boot or another namespace cannot be compared with these.
            self._identity, self._started = identity, snapshot.wall
            self._reset()
        window = self._window(snapshot, netns)
        verdicts: dict[Key, Verdict] = {}
        judged = [row for row in self._ceilings if PART_READ.get(row.id) not in netns.ruled_out]
        for ceiling in judged:
            verdicts |= self._judge_safely(ceiling, window)
        self._store(verdicts, snapshot)
        readings = readings_of((self._listed[ceiling.id] for ceiling in judged), window)
        return Assessment(
            snapshot=snapshot,
            report=report_of(snapshot, netns, readings),
            gauges={key: item.gauge for key, item in verdicts.items()},
            series=self._reported_series(readings),
            rates=self._counters.rates(),
            queries={key: item.measure.query for key, item in verdicts.items() if item.measure.query},
            since=dict(self._since),
            first_known=frozenset(self._first_known),
            started=self._started,
            gauges_by_query={ceiling.id: self._gauges_by_query[ceiling.id] for ceiling in judged},
        )

    def has_overfull_queue(self) -> bool:
        """Return whether a queue held more than its limit in the last sample: the next one shows if it stays."""
        return any(item.over and item.measure.transient for item in self._verdicts.values())

    def has_unproved_counters(self, seconds: float) -> bool:
        """Return whether a counter that proves a hit is not 0 and has been watched for less than `seconds`: the
        next sample shows if it still increases."""
        proofs = {proof for ceiling in self._ceilings for proof in ceiling.hit_counters}
        values = self._counters.values_younger_than(seconds).items()
        return any(value and name.partition(" ")[0] in proofs for name, value in values)

    def _window(self, snapshot: Snapshot, netns: Netns) -> Window:
        self._counters.add(snapshot)
        for state, count in (netns.states.tcp if netns.states else {}).items():
            self._series["state", state].add(snapshot.at, count.total)
        queues = self._longest_queues(snapshot.at, netns)
        return Window(snapshot, netns, self._counters.deltas(), self._counters.seconds, queues)

    def _longest_queues(self, at: float, netns: Netns) -> dict[int, int]:
        """Return each listener's longest queue inside the window: no counter says whose queue overflowed."""
        self._queues.append((at, {item.inode: item.queue for item in netns.listeners or () if item.queue}))
        while self._queues[0][0] < at - self.window:
            self._queues.popleft()
        longest: dict[int, int] = {}
        for _, queues in self._queues:
            for inode, queue in queues.items():
                longest[inode] = max(queue, longest.get(inode, 0))
        return longest

    def _judge_safely(self, ceiling: Ceiling, window: Window) -> dict[Key, Verdict]:
        """Return the verdict on every subject of a ceiling. A ceiling that raises is unknown; the others go on."""
        try:
            return self._judge_all(ceiling, window)
        except Exception as error:
            self._change_keys.pop(ceiling.id, None)
            measure = unknown_measure(window.netns.name, f"{ceiling.id}: {FAULTS.note(ceiling.id, error)}")
            verdicts = {(ceiling.id, measure.subject): judge(ceiling, measure)}
            self._keep(ceiling, verdicts)
            return verdicts

    def _judge_all(self, ceiling: Ceiling, window: Window) -> dict[Key, Verdict]:
        """Return the verdict on every subject of a ceiling: the last one if nothing of it was read since."""
        change_key = ceiling.change_key(window) if ceiling.change_key else None
        if change_key is None or change_key != self._change_keys.get(ceiling.id):
            self._change_keys[ceiling.id] = change_key
            self._note_unchanged(ceiling.id)
            measures = {(ceiling.id, measure.subject): measure for measure in self._measures(ceiling, window)}
            self._keep(
                ceiling,
                {key: self._judge(key, ceiling, measure, window.now) for key, measure in measures.items()},
            )
            if not all(map(_is_settled, self._verdicts_by_ceiling[ceiling.id].values())):
                self._change_keys[ceiling.id] = None
        else:
            self._unchanged_at[ceiling.id] = window.now.at
        return self._verdicts_by_ceiling[ceiling.id]

    def _note_unchanged(self, ceiling: str) -> None:
        """Note until when the numbers of a ceiling were as they are kept: a change began then, and not earlier.

        Numbers that have a time of their own were not read in between."""
        at = self._unchanged_at.pop(ceiling, None)
        if at is not None:
            for key, verdict in self._verdicts_by_ceiling[ceiling].items():
                if verdict.measure.at is None and verdict.measure.used is not None:
                    self._series[key].add(at, verdict.measure.used)

    def _keep(self, ceiling: Ceiling, verdicts: dict[Key, Verdict]) -> None:
        """Keep the verdicts until the ceiling is measured again."""
        self._verdicts_by_ceiling[ceiling.id] = verdicts
        self._listed[ceiling.id] = listed(verdicts.values(), self._max_ok)
        self._gauges_by_query[ceiling.id] = {
            item.measure.query: item.gauge for item in verdicts.values() if item.measure.query
        }

    def _measures(self, ceiling: Ceiling, window: Window) -> Iterable[Measure]:
        found = _measures(ceiling, window)
        return (self._levels.applied(ceiling, each) for each in found) if self._levels.has(ceiling.id) else found

    def _judge(self, key: Key, ceiling: Ceiling, measure: Measure, snapshot: Snapshot) -> Verdict:
        before = self._verdicts.get(key)
        if before is None and measure.transient and ceiling.id in self._verdicts_by_ceiling:
            before = previously_empty(ceiling, measure)
        if measure.used is None:
            return judge(ceiling, measure, before)
        at = measure.at if measure.at is not None else snapshot.at
        series = self._series[key]
        series.add(at, measure.used)
        if before is not None and before.unchanged(measure):
            # _replace takes three times as long, and this is done for each process.
            return Verdict(before.ceiling, measure, before.gauge, before.effective_ratio, before.over)
        return judge(ceiling, measure, before, self._trend(key, at, measure, series))

    def _trend(self, key: Key, at: float, measure: Measure, series: TimeSeries) -> Trend:
        """Return how what `measure` counts grows; `series` is that of all that is used."""
        effective_series, lasting = series, None
        if measure.effective_used is not None:
            effective_series = self._effective_series[key]
            effective_series.add(at, measure.effective_used)
        if measure.expires_after is not None and measure.used is not None:
            self._lasting_series[key].add(at, measure.used - measure.expiring)
            lasting = slope(self._lasting_series[key].points, self.window)
        whole = climb(effective_series.points, self.window)
        return Trend(
            growth=whole.slope if whole and effective_series is series else slope(series.points, self.window),
            effective=whole.slope if whole else None,
            lasting=lasting,
            span=series.span(self.window),
            whole=whole,
            recent=recent_climb(effective_series.points, self.window, measure.transient)
            if may_be_full_soon(measure)
            else None,
        )

    def _store(self, verdicts: dict[Key, Verdict], snapshot: Snapshot) -> None:
        notable = [(key, item.gauge.severity) for key, item in verdicts.items() if item.gauge.severity != "ok"]
        alarms = {key for key, severity in notable if severity in ALARMS}
        first_known = {key for key in alarms - self._since.keys() if self._was_unknown(key, snapshot.at)}
        self._first_known = self._first_known & alarms | first_known
        self._since = {key: self._since.get(key, snapshot.wall) for key in alarms}
        unknown = {key[0] for key, severity in notable if severity == "unknown"}
        self._unknown_since = {name: self._unknown_since.get(name, snapshot.at) for name in unknown}
        self._verdicts = verdicts
        for key in [key for key in self._series if key[0] != "state" and key not in verdicts]:
            del self._series[key]
            self._effective_series.pop(key, None)
            self._lasting_series.pop(key, None)

    def _was_unknown(self, key: Key, at: float) -> bool:
        """Return whether a subject was not known until now, and its ceiling was not simply about to be read."""
        before = self._verdicts.get(key)
        known = before is not None and before.gauge.severity != "unknown"
        return not known and at - self._unknown_since.get(key[0], at) >= UNKNOWN_SECONDS

    def _reported_series(self, readings: Iterable[Reading]) -> dict[Key, tuple[Point, ...]]:
        keys = [reading.key for reading in readings]
        keys += [key for key in self._series if key[0] == "state"]
        return {key: tuple(self._series[key].points) for key in keys if key in self._series}


def _is_settled(verdict: Verdict) -> bool:
    """Return whether the verdict on the same numbers stays the same: their rate depends on the time, unless they
    have a time of their own."""
    return verdict.measure.at is not None or verdict.gauge.rate == 0.0


def _measures(ceiling: Ceiling, window: Window) -> Iterable[Measure]:
    """Return what a ceiling measures, and an unknown Measure for the processes that /proc hides."""
    found = ceiling.measure(window)
    hidden = window.now.processes.hidden if window.now.processes else ""
    if not ceiling.from_processes or not hidden:
        return found
    # "no visible process has a limit" means nothing if other processes are not visible.
    kept = [item for item in found if item.used is not None or item.hit or item.unknown_reason]
    missing = Missing("processes", hidden, unjudged=HIDDEN_PROCESSES)
    return [*kept, unknown_measure(HIDDEN_PROCESSES, hidden, missing)]
