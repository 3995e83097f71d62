"""One of the other network namespaces of the host: visited in turn, dumped where that is needed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from time import CLOCK_BOOTTIME, clock_gettime
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.agent.budget import BudgetedTask
from sockmon.agent.cheap_parts import SYSCTL_SECONDS, CheapParts, read_cheap_parts, same_values
from sockmon.agent.dump_needs import PARTS, SMALL, TABLE, needed_parts
from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.kernel.namespace_files import SOCKETS
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netns_visits import NetnsPlace, NetnsVisits
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.setns import OpenedFiles
from sockmon.model.other_netns import NetnsName
from sockmon.model.snapshot import Missing, Netns

NEEDED_SECONDS = 30.0
"""Time for which a part is dumped again after the cheap numbers last asked for it."""
SMALL_SECONDS = 20.0
"""Age from which on a visit reads what is small, and in no counter: transmit queues and unix datagrams."""
FRESH_SECONDS = 0.5
"""Age up to which a namespace is not visited again."""
QUERY_SECONDS = 120.0
"""Time for which sockets stay open after a query began."""
VISIT_SECONDS = 0.25
"""Processor time of one small dump during a visit, at most."""


class _Made(NamedTuple):
    """What a Snapshot has of a namespace, and what it was made of."""

    parts: CheapParts
    stamp: object
    netns: Netns
    missing: tuple[Missing, ...]


class WatchedNetns:
    """A namespace that this process can enter."""

    def __init__(self, place: NetnsPlace, visits: NetnsVisits, owners: Owners, keeps_sockets: bool) -> None:
        self.place = place
        self._inside = partial(visits.inside, place)
        opened = OpenedFiles(inode=place.inode)
        handle = NetnsHandle("", opened, "/proc", keeps_open=keeps_sockets, inside=self._inside)
        handle.keeps_files = False
        self.sampler = NetnsSampler(handle, owners)
        self._owners = owners
        self.parts: CheapParts | None = None
        self.processes: int | None = None
        self.pid = 0
        self.pids: tuple[int, ...] = ()
        """The visible processes in it, the oldest MAX_PIDS."""
        self.chosen = False
        """Whether somebody looks: it is sampled as fully as our own."""
        self._needed_until: dict[str, float] = {}
        self._tasks = (*self.sampler.tasks, *self.sampler.late_tasks)
        self._budgets = [task.budget for task in self._tasks]
        self._quiet = False
        """Whether the last visit has found what the one before had."""
        self._dumping = False
        """Whether a dump was asked for when the tasks were last listed: it may not have ended."""
        self._made: _Made | None = None

    def close(self) -> None:
        """Release everything; safe to call twice."""
        self.sampler.close()
        self.sampler.handle.close()
        self.place.close()

    def describe(
        self, name: str, called: NetnsName | None, entry: str, pids: Sequence[int], processes: int
    ) -> None:
        """Note what it is called, and who is in it; `pids` are its oldest processes."""
        handle = self.sampler.handle
        if called is None or called != handle.called:
            # One that is told apart from another container of its name keeps the longer name.
            handle.name = name
        handle.called, handle.entry = called, entry
        self.processes, self.pid = processes, pids[0] if pids else 0

    def choose(self, chosen: bool) -> None:
        """Sample it as fully as our own, or as the others again."""
        self.chosen = chosen
        handle = self.sampler.handle
        handle.keeps_files = chosen and handle.keeps_open
        if not chosen:
            handle.release_files()
            handle.release_sockets()
            # A dump that has begun is ended, or it would keep a socket open.
            self._dumping = True
            return
        # Until now they have shared one budget with the dumps of all others, and may have had to wait for minutes.
        for task, budget in zip(self._tasks, self._budgets, strict=True):
            task.budget = budget
            task.reschedule()

    def is_fresh(self, now: float, quiet_seconds: float) -> bool:
        """Return whether it need not be visited yet: for `quiet_seconds` if the last visit found nothing new."""
        valid = quiet_seconds if self._quiet and not self.chosen else FRESH_SECONDS
        return self.parts is not None and now - self.parts.at < valid

    def visit(self, now: float, every: bool = False, sysctl_seconds: float = SYSCTL_SECONDS) -> bool:
        """Enter it and read what is cheap; return whether other dumps are needed than before. `every`: also what
        is read rarely; `sysctl_seconds` as in `read_cheap_parts`. Raise NetnsEnded, or OSError if it may not be
        entered."""
        handle, before = self.sampler.handle, self.parts
        with self._inside():
            self.parts = read_cheap_parts(handle, self.sampler.listeners.read, now, before, every, sysctl_seconds)
        self._quiet = before is not None and same_values(self.parts, before)
        needed = self.dumped(now)
        for part in needed_parts(self.parts, before):
            self._needed_until[part] = now + NEEDED_SECONDS
        # Not inside: a thread that a dump starts would stay there.
        self._read_small(now, every)
        self.release_idle()
        return self.dumped(now) != needed

    def release_idle(self) -> None:
        """Close the sockets that nothing uses."""
        handle = self.sampler.handle
        if not self.chosen and time.monotonic() - handle.queried_at >= QUERY_SECONDS:
            handle.release_sockets(("tick",) if self.active else SOCKETS)

    def _read_small(self, now: float, every: bool) -> None:
        """Dump what is small in nearly every namespace; one that is large is continued at the next visit."""
        sampler = self.sampler
        small: list[BudgetedTask[object]] = [sampler.transmit]
        if "datagrams" in self.needed(now):
            small.append(sampler.datagrams.task)
        for task in small:
            if task.active or every or task.at is None or now - task.at >= SMALL_SECONDS:
                task.run(VISIT_SECONDS)
                while every and task.active:
                    task.run(VISIT_SECONDS)

    @property
    def active(self) -> bool:
        """Return whether a dump of it has started and not ended."""
        return any(task.active for task in self._tasks)

    def needed(self, now: float) -> frozenset[str]:
        """Return the parts that have to be dumped."""
        if self.chosen:
            return frozenset(PARTS)
        return frozenset(part for part, until in self._needed_until.items() if until >= now)

    def needs(self, part: str, now: float) -> bool:
        """Return whether this part has to be dumped."""
        return self.chosen or self._needed_until.get(part, 0.0) >= now

    def need(self, part: str, now: float) -> bool:
        """Dump this part for NEEDED_SECONDS; return whether it was not needed before."""
        new = not self.needs(part, now)
        self._needed_until[part] = now + NEEDED_SECONDS
        return new

    def dumped(self, now: float) -> frozenset[str]:
        """Return those of the needed parts that a visit does not read itself."""
        return self.needed(now) - SMALL

    def tasks(self, now: float) -> list[BudgetedTask[object]]:
        """Return the tasks that dump what is needed."""
        if self.chosen:
            return [*self.sampler.tasks, *self.sampler.late_tasks]
        needed, sampler = self.needed(now), self.sampler
        if not (needed - SMALL or self._dumping):
            return []
        every: dict[str, BudgetedTask[object]] = {
            "states": sampler.states,
            "ports": sampler.ports.task,
            "udp": sampler.udp.task,
            "snat": sampler.tracking.snat,
            TABLE: sampler.tracking.table,
        }
        found = [task for part, task in every.items() if part in needed]
        found += [task for task in self._tasks if task.active and task not in found]
        self._dumping = bool(found)
        return [*found, *sampler.port_tasks] if {"ports", "snat"} & needed else found

    def sample(self, missing: list[Missing]) -> Netns | None:
        """Return the namespace as of the last visit, the same object if nothing was read since; None before the
        first."""
        if self.chosen:
            return self._described(
                replace(self.sampler.sample(missing), at=clock_gettime(CLOCK_BOOTTIME)), frozenset(PARTS)
            )
        if self.parts is None:
            return None
        parts, made = self.parts, self._made
        needed = self.needed(clock_gettime(CLOCK_BOOTTIME))
        stamp = (
            self._owners.at if needed - SMALL or self.sampler.has_unowned else None,
            self.sampler.handle.name,
            self.processes,
            self.pid,
            self.pids,
            needed,
            sum(task.runs for task in self._tasks),
        )
        if made is None or made.stamp != stamp or not self._is_as_before(parts, made.parts):
            own: list[Missing] = []
            found = self._described(self.sampler.sample_of(parts, own), needed)
            if made is not None:
                found = _same_objects(found, made.netns)
            made = _Made(parts, stamp, found, tuple(dict.fromkeys(own)))
        elif made.parts is not parts:
            made = made._replace(parts=parts, netns=replace(made.netns, at=parts.at))
        self._made = made
        missing += made.missing
        return made.netns

    def _is_as_before(self, parts: CheapParts, before: CheapParts) -> bool:
        """Return whether the last visit has found what the one before has."""
        return parts is before or (same_values(parts, before) and not self.sampler.listeners.samples.has_full)

    def _described(self, found: Netns, needed: frozenset[str]) -> Netns:
        """Return `found` without the parts that are not needed: their last dump may be old."""
        unread = tuple(part for part in PARTS if part not in needed)
        without = dict.fromkeys(unread)
        return replace(
            found,
            processes=self.processes,
            pid=self.pid,
            pids=self.pids,
            cookie=self.place.cookie,
            ruled_out=unread,
            **without,
        )


def _same_objects(now: Netns, before: Netns) -> Netns:
    """Return `now` with those parts of `before` that are equal."""
    names = (
        "sockstat",
        "counters",
        "sysctls",
        "listeners",
        "states",
        "ports",
        "conntrack",
        "udp",
        "datagrams",
        "snat",
    )
    return replace(
        now, **{name: getattr(before, name) for name in names if getattr(now, name) == getattr(before, name)}
    )
