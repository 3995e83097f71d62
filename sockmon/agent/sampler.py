"""The kernel → Snapshots: cheap reads each time, dumps as often as their share of a processor allows."""

from __future__ import annotations

import os
import resource
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

from msgspec.structs import replace

from sockmon.agent.netns import NetnsSampler, attempt
from sockmon.agent.paced import Paced
from sockmon.errors import Unreadable
from sockmon.kernel import host, neighbours, sockstat, softnet, sysctl
from sockmon.kernel.cgroup import Groups
from sockmon.kernel.maps import MapCounts
from sockmon.kernel.netlink import Steps
from sockmon.kernel.netns import Door, open_here, open_other
from sockmon.kernel.owners import Owners
from sockmon.kernel.processes import ProcessTable
from sockmon.kernel.tcp_states import INODES
from sockmon.kernel.watches import WatchCounts
from sockmon.model.snapshot import (
    Cgroups,
    Maps,
    Memory,
    Missing,
    Neighbours,
    Process,
    Processes,
    Snapshot,
    Watches,
)

SLICE = 0.005
"""Seconds that one slice of paced work takes at most, so that requests and ticks are never far away."""
AT_ONCE = 0.03
"""Seconds of paced work that a tick waits for, so that on most hosts all parts of a Snapshot are equally new."""
PROCESSES_SHARE, PROCESSES_LEAST = 0.005, 2.0
OWNERS_SHARE, OWNERS_LEAST = 0.004, 2.0
CGROUPS_SHARE, CGROUPS_LEAST = 0.002, 2.0
MAPS_SHARE, MAPS_LEAST = 0.002, 2.0
WATCHES_SHARE, WATCHES_LEAST = 0.001, 5.0
NEIGHBOURS_SHARE, NEIGHBOURS_LEAST = 0.001, 5.0
COST_WINDOW = 60.0


INITIAL_ONLY = (
    "net.core.netdev_max_backlog",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
)


def boottime() -> float:
    """Seconds on CLOCK_BOOTTIME, which no one can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextmanager
def open_sampler(netns: str | None, interval: float) -> Iterator[Sampler]:
    """A Sampler of this host and of the namespace that `netns` names (ours without); NoSuchNamespace when
    there is none."""
    _take_all_descriptors()
    with ExitStack() as stack:
        own = stack.enter_context(closing(open_here()))
        door = stack.enter_context(closing(open_other(netns))) if netns is not None else own
        sampler = Sampler([door], own, interval)
        stack.callback(sampler.close)
        yield sampler


def _take_all_descriptors() -> None:
    """Raise our own soft limit: some fifty descriptors are kept open, so that nothing has to be opened later."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Sampler:
    """Reads one host and the network namespaces behind `doors`."""

    def __init__(self, doors: Sequence[Door], own: Door, interval: float = 1.0) -> None:
        self.interval = interval
        self._own = own
        self._host = host.host()
        self.table = ProcessTable()
        self.owners = Owners()
        self._read: Paced[Processes] = Paced("processes", self._read_processes, PROCESSES_SHARE, PROCESSES_LEAST)
        self._walk: Paced[None] = Paced("owners", self._walk_owners, OWNERS_SHARE, OWNERS_LEAST)
        self.groups = Groups()
        self._cgroups: Paced[Cgroups] = Paced("cgroups", self._read_cgroups, CGROUPS_SHARE, CGROUPS_LEAST)
        self._map_counts = MapCounts(self.table)
        self._maps: Paced[Maps] = Paced("maps", self._count_maps, MAPS_SHARE, MAPS_LEAST)
        self._watch_counts = WatchCounts(self.table.proc)
        self._watches: Paced[Watches] = Paced("watches", self._count_watches, WATCHES_SHARE, WATCHES_LEAST)
        self._permanent = neighbours.Permanent()
        self._permanents: Paced[dict[str, int]] = Paced(
            "neighbours", lambda: self._permanent.steps(own), NEIGHBOURS_SHARE, NEIGHBOURS_LEAST
        )
        self.netns = [NetnsSampler(door, self.owners) for door in doors]
        self._attributed: Processes | None = None
        self._attributed_as: object = None
        self._tasks_seen = 0
        self._begun = (boottime(), time.process_time())
        self._costs: deque[tuple[float, float]] = deque()

    def rows(self) -> tuple[Process, ...]:
        """All processes as of the last look."""
        return self._read.value.rows if self._read.value else ()

    @property
    def paced(self) -> list[Paced[object]]:
        """All work that is done in steps, in the order in which it is begun."""
        parts: list[Paced[object]] = [self._read]  # type: ignore[list-item]
        for netns in self.netns:
            parts += netns.paced
        parts += [self._cgroups, self._walk, self._maps, self._watches, self._permanents]  # type: ignore[list-item]
        return parts

    def step(self, seconds: float = SLICE) -> bool:
        """Do some paced work; False when nothing is due. Work that has begun comes first: one dump at a time."""
        now = boottime()
        part = next((part for part in self.paced if part.active), None)
        part = part or next((part for part in self.paced if part.due(now)), None)
        if part is None:
            return False
        part.run(seconds)
        return True

    def sample(self, complete: bool = False) -> Snapshot:
        """One Snapshot; `complete` finishes all work that is due first, however long it takes."""
        begin = time.process_time()
        while self.step() and (complete or time.process_time() - begin < AT_ONCE):
            pass
        missing: list[Missing] = []
        own = attempt(missing, lambda: sockstat.read(self._own))
        sysctls = sysctl.read_all(self._own, sysctl.HOST_KEYS, missing)
        missing += [
            Missing(key, "is visible in the initial network namespace only")
            for key in INITIAL_ONLY
            if key not in sysctls
        ]
        missing += self._map_counts.missing
        missing += self.groups.missing
        missing += [
            Missing(part.reader, part.reason or "not read yet")
            for part in (self._cgroups, self._maps, self._watches)
            if part.reason or part.value is None
        ]
        return Snapshot(
            at=boottime(),
            wall=time.time(),
            interval=self.interval,
            cost=self._cost(),
            host=self._host,
            files=attempt(missing, lambda: host.files(self._own)),
            tasks=attempt(missing, lambda: host.tasks(self._own, self._tasks_seen)),
            memory=self._memory(own, sysctls),
            processes=self._processes(missing),
            netns=tuple(netns.sample(missing) for netns in self.netns),
            neighbours=attempt(missing, self._neighbours),
            softnet=attempt(missing, lambda: softnet.read(self._own)),
            missing=tuple(dict.fromkeys(missing)),
            sysctls=sysctls,
            maps=self._maps.value,
            watches=self._watches.value,
            cgroups=self._cgroups.value,
        )

    def close(self) -> None:
        """Let go of /proc."""
        for netns in self.netns:
            netns.close()
        self._permanent.close()
        self.groups.close()
        self.table.close()
        self.owners.close()

    def refresh(self) -> None:
        """Let all paced work begin again at once."""
        for part in self.paced:
            part.soon()

    def look_again(self) -> None:
        """Do the paced work again that finds full queues, and counters that prove a hit: one look at them proves
        nothing, and the next Snapshot may have no time for it."""
        again: list[Paced[object]] = [self._cgroups]  # type: ignore[list-item]
        for netns in self.netns:
            again += [netns.datagrams, netns.states]  # type: ignore[list-item]
        begun = [part for part in self.paced if part.active]
        for part in again:
            part.soon()
        now = boottime()
        for part in begun + again:
            while part.active or (part in again and part.due(now)):
                part.run(SLICE)

    def _neighbours(self) -> tuple[Neighbours, ...]:
        known = self._permanents.value or {}
        return tuple(replace(table, permanent=known.get(table.table)) for table in neighbours.read(self._own))

    def _memory(self, own: tuple[object, sockstat.Shared] | None, sysctls: dict[str, str]) -> Memory | None:
        return sockstat.memory(own[1], sysctls) if own else None

    def _processes(self, missing: list[Missing]) -> Processes | None:
        """All processes, with their sockets as of the last walk over descriptors."""
        missing.extend(self.table.missing)
        found = self._read.value
        if found is None or self._read.reason:
            missing.append(Missing("processes", self._read.reason or "not read yet"))
        if self.owners.unseen:
            missing.append(Missing("owners", _unseen(self.owners.unseen)))
        if found is None:
            return None
        rare = self.netns[0].states.value
        if rare and rare.capped:
            missing.append(Missing("owners", f"only {INODES:,} sockets in CLOSE_WAIT are looked up"))
        stamp = (found.at, self.owners.at, id(rare))
        if stamp != self._attributed_as or self._attributed is None:
            self._attributed_as = stamp
            self._attributed = self.owners.attribute(found, rare.close_wait if rare else None)
        return self._attributed

    def _read_processes(self) -> Steps[Processes]:
        found = yield from self.table.steps(boottime())
        self._tasks_seen = sum(row.threads for row in found.rows)
        return found

    def _read_cgroups(self) -> Steps[Cgroups]:
        return (yield from self.groups.steps(self.rows(), boottime()))

    def _walk_owners(self) -> Steps[None]:
        yield from self.owners.walk(self.rows())

    def _count_maps(self) -> Steps[Maps]:
        return (yield from self._map_counts.steps(self.rows(), boottime()))

    def _count_watches(self) -> Steps[Watches]:
        """The descriptors are those of the last walk over them: what was opened since waits for the next."""
        if self.owners.at is None:
            raise Unreadable("watches", "the descriptors of processes were not read yet")
        holders = self.owners.watching()
        return (yield from self._watch_counts.steps(holders, self.rows(), boottime(), self.owners.unseen))

    def _cost(self) -> float:
        """Our share of a processor over the last minute; what it cost to start is in the first one only."""
        now = (boottime(), time.process_time())
        first = self._costs[0] if self._costs else self._begun
        self._costs.append(now)
        while self._costs[0][0] < now[0] - COST_WINDOW:
            self._costs.popleft()
        return (now[1] - first[1]) / max(now[0] - first[0], 1e-3)


def _unseen(number: int) -> str:
    """Why descriptors could not be seen: root meets processes with more capabilities than it was left with."""
    processes = "1 process" if number == 1 else f"{number} processes"
    if os.geteuid() == 0:
        return f"descriptors of {processes} need capabilities that sockmon was not given"
    return f"descriptors of {processes} of other users need root"
