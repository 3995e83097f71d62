"""What was seen over the last minutes: one gauge's trail, and the counters of the window."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from sockmon.assess.slope import Point
from sockmon.model.snapshot import Snapshot


class Trail:
    """The history of one value, run-length compressed: a stretch without change is kept by its two ends."""

    def __init__(self, forget: float) -> None:
        self.points: list[Point] = []
        self._forget = forget

    def add(self, at: float, value: float) -> None:
        """One more value; a time that is not newer than the last is the same reading, seen again."""
        points = self.points
        if points and at <= points[-1].at:
            return
        point = Point(at, value)
        if len(points) >= 2 and points[-1].value == value == points[-2].value:
            points[-1] = point
            return
        points.append(point)
        old = at - self._forget
        if points[0].at < old and points[1].at <= old:
            del points[0]

    def span(self, window: float) -> float:
        """Seconds of history inside `window`."""
        return min(self.points[-1].at - self.points[0].at, window) if self.points else 0.0


class Counters:
    """Counters of one origin in a window: how far each moved, and how fast."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._history: deque[tuple[float, Mapping[str, int]]] = deque()

    def add(self, at: float, counters: Mapping[str, int]) -> None:
        """One more look; a counter that went backwards makes all that was before incomparable."""
        history = self._history
        if history and _went_backwards(history[-1][1], counters):
            history.clear()
        history.append((at, counters))
        while len(history) > 2 and history[1][0] <= at - self._window:
            history.popleft()

    @property
    def seconds(self) -> float:
        """Length of the window so far."""
        return self._history[-1][0] - self._history[0][0] if self._history else 0.0

    def moved(self) -> dict[str, int]:
        """Counter → increase over the window, for those that both ends know."""
        if len(self._history) < 2:
            return {}
        first, last = self._history[0][1], self._history[-1][1]
        return {name: value - first[name] for name, value in last.items() if name in first}

    def rates(self) -> dict[str, float | None]:
        """Counter → per second over the window; None where there is nothing to compare yet."""
        if not self._history:
            return {}
        seconds, moved = self.seconds, self.moved()
        return {
            name: moved[name] / seconds if name in moved and seconds > 0 else None for name in self._history[-1][1]
        }


class AllCounters:
    """The counters of every origin; where one begins anew (a cgroup that was made again) the others go on."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._origins: dict[str, Counters] = {}
        self.now: dict[str, int] = {}
        """Every counter as of the last look."""

    def add(self, snapshot: Snapshot) -> None:
        """One more look."""
        found = counters(snapshot)
        self._origins = {origin: self._origins.get(origin) or Counters(self._window) for origin in found}
        self.now = {}
        for origin, values in found.items():
            self._origins[origin].add(snapshot.at, values)
            self.now |= values

    @property
    def seconds(self) -> float:
        """Length of the window so far, for the counters of the namespace."""
        return self._origins["netns"].seconds if self._origins else 0.0

    def moved(self) -> dict[str, int]:
        """Counter → increase over the window."""
        return {name: step for origin in self._origins.values() for name, step in origin.moved().items()}

    def rates(self) -> dict[tuple[str, str], float | None]:
        """`("counter", name)` → per second over the window."""
        return {
            ("counter", name): rate for origin in self._origins.values() for name, rate in origin.rates().items()
        }


def counters(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """Every counter of a Snapshot by origin: `TcpExt.ListenOverflows`, `conntrack.drop`, `softnet.dropped`,
    `arp_cache.table_fulls`, `pids.events /the/cgroup`, `oom_kill /the/cgroup`."""
    netns = snapshot.netns[0]
    found = {"netns": dict(netns.counters)}
    if netns.conntrack:
        found["netns"] |= {f"conntrack.{name}": value for name, value in netns.conntrack.stats.items()}
    if snapshot.softnet:
        found["softnet"] = {
            "softnet.dropped": snapshot.softnet.dropped,
            "softnet.squeezed": snapshot.softnet.squeezed,
        }
    for table in snapshot.neighbours or ():
        found[table.table] = {f"{table.table}.table_fulls": table.fulls}
    for pids in snapshot.cgroups.pids if snapshot.cgroups else ():
        if pids.refused is not None:
            found[f"pids {pids.path}"] = {f"pids.events {pids.path}": pids.refused}
    for memory in snapshot.cgroups.memory if snapshot.cgroups else ():
        if memory.oom_kills is not None:
            found[f"memory {memory.path}"] = {f"oom_kill {memory.path}": memory.oom_kills}
    return found


def _went_backwards(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    # CurrEstab is a gauge that the kernel lists among counters.
    return any(now.get(name, value) < value for name, value in before.items() if name != "Tcp.CurrEstab")
