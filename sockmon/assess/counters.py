"""Kernel counters over the window: by how much each increased, and how fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from sockmon.ceilings import listener_drops, udp_buffers
from sockmon.model.snapshot import Netns, Snapshot


class CounterWindow:
    """The counters of one origin in a window."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._history: deque[tuple[float, Mapping[str, int]]] = deque()

    def add(self, at: float, counters: Mapping[str, int]) -> None:
        """Add the counters of one sample; a counter that decreased was reset, so the window starts again."""
        history = self._history
        if history and _decreased(history[-1][1], counters):
            history.clear()
        history.append((at, counters))
        while len(history) > 2 and history[1][0] <= at - self._window:
            history.popleft()

    @property
    def seconds(self) -> float:
        """Return the length of the window so far."""
        return self._history[-1][0] - self._history[0][0] if self._history else 0.0

    @property
    def last(self) -> Mapping[str, int]:
        """Return the counters of the last sample; empty before the first one."""
        return self._history[-1][1] if self._history else {}

    def deltas(self) -> dict[str, int]:
        """Return the increase of each counter over the window; one that is new or gone is left out."""
        if len(self._history) < 2:
            return {}
        first, last = self._history[0][1], self._history[-1][1]
        return {name: value - first[name] for name, value in last.items() if name in first}

    def rates(self) -> dict[str, float | None]:
        """Return the increase of each counter per second; None if there is only one value yet."""
        if not self._history:
            return {}
        seconds, deltas = self.seconds, self.deltas()
        return {
            name: deltas[name] / seconds if name in deltas and seconds > 0 else None
            for name in self._history[-1][1]
        }


class CountersByOrigin:
    """The counters of every origin, each with its own window: if one is reset, such as that of a cgroup that
    was created again, the others go on."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._origins: dict[str, CounterWindow] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Add the counters of one sample."""
        found = counters_by_origin(snapshot)
        self._origins = {origin: self._origins.get(origin) or CounterWindow(self._window) for origin in found}
        for origin, values in found.items():
            self._origins[origin].add(snapshot.at, values)

    @property
    def seconds(self) -> float:
        """Return the length of the window so far, for the counters of the namespace."""
        return self._origins["netns"].seconds if self._origins else 0.0

    def values_younger_than(self, seconds: float) -> dict[str, int]:
        """Return the counters that have been watched for less than `seconds`, as of the last sample."""
        recent = [origin.last for origin in self._origins.values() if origin.seconds < seconds]
        return {name: value for values in recent for name, value in values.items()}

    def deltas(self) -> dict[str, int]:
        """Return the increase of each counter over the window."""
        return {name: step for origin in self._origins.values() for name, step in origin.deltas().items()}

    def rates(self) -> dict[tuple[str, str], float | None]:
        """Return the increase per second of each counter, by `("counter", name)`."""
        return {
            ("counter", name): rate for origin in self._origins.values() for name, rate in origin.rates().items()
        }


def counters_of(snapshot: Snapshot) -> dict[str, int]:
    """Return every counter of a sample by name."""
    return {name: value for origin in counters_by_origin(snapshot).values() for name, value in origin.items()}


def counters_by_origin(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """Return every counter of a Snapshot by origin: `TcpExt.ListenOverflows`, `conntrack.drop`, `softnet.dropped`,
    `arp_cache.table_fulls`, `pids.events /the/cgroup`, `oom_kill /the/cgroup`,
    `udp drops INODE`, `listener drops INODE`, `qdisc.overflowed DEVICE`."""
    netns = snapshot.netns[0]
    found = {"netns": dict(netns.counters)}
    if netns.conntrack:
        found["netns"] |= {f"conntrack.{name}": value for name, value in netns.conntrack.stats.items()}
    if snapshot.softnet:
        found["softnet"] = {
            "softnet.dropped": snapshot.softnet.dropped,
            "softnet.squeezed": snapshot.softnet.squeezed,
        }
    for buffer in (netns.udp.buffers if netns.udp else None) or ():
        if buffer.inode:
            found[f"udp {buffer.inode}"] = {udp_buffers.drops_counter(buffer): buffer.drops}
    found["listeners"] = {
        listener_drops.drops_counter(listener): listener.drops
        for listener in netns.listeners or ()
        if listener.drops is not None
    }
    for table in snapshot.neighbours or ():
        found[table.table] = {f"{table.table}.table_fulls": table.overflows}
    found |= _of_cgroups(snapshot)
    found |= _of_devices(netns)
    return found


def _of_cgroups(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    found = {}
    for pids in snapshot.cgroups.pids if snapshot.cgroups else ():
        if pids.refused is not None:
            found[f"pids {pids.path}"] = {f"pids.events {pids.path}": pids.refused}
    for memory in snapshot.cgroups.memory if snapshot.cgroups else ():
        if memory.oom_kills is not None:
            found[f"memory {memory.path}"] = {f"oom_kill {memory.path}": memory.oom_kills}
    return found


def _of_devices(netns: Netns) -> dict[str, dict[str, int]]:
    found = {}
    for queue in netns.transmit.rows if netns.transmit else ():
        values = {"sent": queue.sent, "dropped": queue.dropped, "overflowed": queue.overflowed}
        named = {f"qdisc.{name} {queue.device}": value for name, value in values.items() if value is not None}
        found[f"qdisc {queue.device}"] = named
    return found


def _decreased(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    # CurrEstab is a gauge that the kernel lists among counters.
    return any(now.get(name, value) < value for name, value in before.items() if name != "Tcp.CurrEstab")
