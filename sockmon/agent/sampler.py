"""The kernel → Snapshots: cheap reads for each one, expensive ones within a budget of processor time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from msgspec.structs import replace

from sockmon.agent.budget import TOTAL_PERCENT, Budget, BudgetedTask
from sockmon.agent.host_sysctls import read_host_sysctls
from sockmon.agent.limit_origins import LimitOrigins
from sockmon.agent.listener_sampler import ListenerSampler
from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.netns_watch import MAX_WATCHED, NetnsWatch
from sockmon.agent.own_cost import OwnCost
from sockmon.agent.part import read_or_missing
from sockmon.agent.process_sampler import ProcessSampler
from sockmon.agent.process_states import StateMatrix
from sockmon.agent.wanted_netns import open_wanted
from sockmon.kernel import host, meminfo, neighbours, own_descriptors, sockstat, softnet
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.kernel.netns import open_current
from sockmon.kernel.processes.passwd import Users, look_up_name
from sockmon.kernel.processes.process_facts import FactsReader
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.rlimits import (
    AGENT_DESCRIPTORS,
    MIN_DESCRIPTORS,
    descriptors_are_scarce,
    require_descriptors,
)
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import (
    Host,
    Memory,
    Missing,
    Neighbours,
    Netns,
    Processes,
    Snapshot,
    Tasks,
)

SLICE_SECONDS = 0.005
"""Processor time of one slice of budgeted work: requests and ticks never wait longer for it."""
TICK_WORK_SECONDS = 0.03
"""Budgeted work that a tick waits for, so that on most hosts all parts of a Snapshot are equally new."""
NEIGHBOURS, ORIGINS = Budget(0.001, 5.0), Budget(0.0005, 10.0)
NAME_SERVICE_SECONDS = 0.5
"""Time that a complete sample waits for the names of users, once."""


def boottime() -> float:
    """Return the seconds on CLOCK_BOOTTIME, which cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextmanager
def open_sampler(
    netns: str | Sequence[str] | None, interval: float, complete: bool = False, others: bool = True
) -> Iterator[Sampler]:
    """Open a Sampler of this host and of the namespace `netns`, by default our own; raise NoSuchNamespace if there
    is no such namespace. `complete`: only complete samples are taken, for which few descriptors are enough, and
    `netns` may be several, and shell patterns. `others`: all other namespaces of the host are watched too."""
    wanted = (netns,) if isinstance(netns, str) else tuple(netns or ())
    require_descriptors(MIN_DESCRIPTORS if complete else AGENT_DESCRIPTORS)
    with ExitStack() as stack:
        scarce = complete and descriptors_are_scarce()
        budget = own_descriptors.budget(bool(wanted)) if scarce else own_descriptors.UNLIMITED
        own = stack.enter_context(closing(open_current(keeps_open=not scarce)))
        found = open_wanted(wanted, not isinstance(netns, str), budget.most, stack)
        sampler = Sampler(found.handles or [own], own, interval, MAX_WATCHED if others else 0)
        sampler.shortage = budget.missing + found.missing
        stack.callback(sampler.close)
        yield sampler


class Sampler:
    """Reads one host, through its own namespace `own`, the network namespaces `handles`, and up to `watched`
    others in turn."""

    def __init__(
        self, handles: Sequence[NetnsHandle], own: NetnsHandle, interval: float = 1.0, watched: int = 0
    ) -> None:
        self.interval = interval
        self.percent = TOTAL_PERCENT
        """Part of one processor that the expensive reads may use."""
        self._own = own
        self.scarce = not own.keeps_open
        """Whether only one dump may run at a time: samples have to be complete."""
        self.shortage: tuple[Missing, ...] = ()
        self._users = Users(ask=look_up_name)
        self._host = host.read_host(self._users)
        self.table = ProcessTable(users=self._users)
        self.owners = Owners(proc=self.table.proc)
        self.processes = ProcessSampler(self.table, self.owners, self._users, self._all_listeners)
        rows = self.processes.rows
        self._started_for = [NetnsSampler(handle, self.owners) for handle in handles]
        self.limit_origins = LimitOrigins()
        self._origin_task = BudgetedTask("limit origins", lambda: self.limit_origins.steps(rows()), ORIGINS)
        self._permanent_task = BudgetedTask("neighbours", lambda: neighbours.count_permanent(own), NEIGHBOURS)
        self.names = NamespaceNames(self.table.proc, StateFiles())
        self.process_states = StateMatrix(self.owners)
        self.process_facts = FactsReader(self.table.proc, self._users)
        self.watch = NetnsWatch(rows, handles, self.names, self.table, self.owners, own.keeps_open, watched)
        self._cost = OwnCost()

    @property
    def netns(self) -> list[NetnsSampler]:
        """Return the samplers of all namespaces: first those that it was started for."""
        return [*self._started_for, *self.watch.samplers]

    @property
    def listeners(self) -> list[ListenerSampler]:
        """Return the listeners of the namespaces that are read for each Snapshot: those that it was started for,
        and the chosen one. Their queues are read between Snapshots too."""
        full = (*self._started_for, *filter(None, (self.watch.chosen,)))
        return [netns.listeners for netns in full]

    def sampler_of(self, inode: int) -> NetnsSampler | None:
        """Return the sampler of a namespace; None if it is not watched."""
        own = (netns for netns in self._started_for if netns.handle.inode == inode)
        return next(own, None) or self.watch.sampler_of(inode)

    @property
    def tasks(self) -> Sequence[BudgetedTask[object]]:
        """Return the budgeted work, in the order in which it starts."""
        return (
            self.processes.task,
            *(task for netns in self._started_for for task in netns.first_tasks),
            self.processes.owner_task,
            *(task for netns in self._started_for for task in netns.tasks),
            self.watch.search,
            self.watch.visits,
            *self.watch.tasks(),
            self.processes.cgroup_task,
            *(task for netns in self._started_for for task in netns.late_tasks),
            *self.processes.late_tasks,
            self._permanent_task,
            self._origin_task,
        )

    def user_name(self, uid: int) -> str:
        """Return the name of a user, or the number while no name is known."""
        return self._users.name(uid)

    def step(self, seconds: float = SLICE_SECONDS, since: float | None = None) -> bool:
        """Do some budgeted work: finish what has started, then start what is due, or what was due at `since`.
        Return False if there is none."""
        now = boottime()
        due = now if since is None else since
        tasks = self.tasks
        active = next((task for task in tasks if task.active), None)
        # The queues have one short step each, and change while a long task runs.
        urgent: list[BudgetedTask[object]] = [each.queue_task for each in self.listeners]
        task = None if self.scarce and active else next((task for task in urgent if task.due(now)), None)
        task = task or active or next((task for task in tasks if task.due(due)), None)
        if task is None:
            return False
        self._run(task, seconds)
        return True

    def _run(self, task: BudgetedTask[object], seconds: float = SLICE_SECONDS) -> None:
        """Run a task for `seconds`, and close what it needs no more."""
        task.run(seconds, self.percent / TOTAL_PERCENT)
        self.watch.release_after(task)
        if self.scarce and not task.active:
            for netns in self.netns:
                netns.handle.release_sockets()

    def sample(self, complete: bool = False) -> Snapshot:
        """Return a Snapshot; `complete` does all work that is due first, however long it takes."""
        if complete:
            self._complete()
        else:
            begin = time.process_time()
            while self.step() and time.process_time() - begin < TICK_WORK_SECONDS:
                pass
        return self.compose()

    def compose(self) -> Snapshot:
        """Return a Snapshot of the cheap parts now and the last result of each task, without any other work."""
        missing = [*self._missing_of_tasks(), *self.shortage]
        own = read_or_missing(missing, "sockstat", lambda: sockstat.read(self._own))
        sysctls = read_or_missing(missing, "sysctls", lambda: read_host_sysctls(self._own, missing)) or {}
        return Snapshot(
            at=boottime(),
            wall=time.time(),
            interval=self.interval,
            cost=self._cost.share(),
            host=self._named_host(),
            files=read_or_missing(missing, "files", lambda: host.read_files(self._own)),
            tasks=read_or_missing(missing, "tasks", self._read_tasks),
            memory=read_or_missing(missing, "memory", lambda: self._memory(own, sysctls)),
            processes=read_or_missing(missing, "processes", lambda: self._processes(missing)),
            netns=self._sample_netns(missing),
            neighbours=read_or_missing(missing, "neighbours", self._neighbours),
            softnet=read_or_missing(missing, "softnet", lambda: softnet.read(self._own)),
            available_memory=read_or_missing(missing, "meminfo", lambda: meminfo.read_available(self._own)),
            missing=tuple(dict.fromkeys(missing)),
            sysctls=sysctls,
            maps=self.processes.map_task.value,
            watches=self.processes.watch_task.value,
            cgroups=self.processes.cgroup_task.value,
            other_netns=self.watch.search.value,
            locked=self.processes.locked_task.value,
            limit_origins=self._origin_task.value or (),
        )

    def _complete(self) -> None:
        """Do all work that is due now, once: with a million sockets some would be due again before the end."""
        since = boottime()
        while self.step(since=since):
            pass
        if self._users.wait_for_names(NAME_SERVICE_SECONDS):
            again: list[BudgetedTask[object]] = [self.processes.task, self.processes.watch_task]
            for task in again:
                task.reschedule()
                while task.active or task.due(boottime()):
                    self._run(task)

    def _sample_netns(self, missing: list[Missing]) -> tuple[Netns, ...]:
        """Return the namespaces; of several, the entries in `missing` say which one they are about."""
        found: list[Netns] = []
        first: list[Missing] = []
        several = len(self._started_for) > 1
        for number, netns in enumerate(self._started_for):
            own: list[Missing] = []
            found.append(netns.sample(own))
            missing += [replace(entry, netns=found[-1].inode) for entry in own] if several else own
            first = first if number else own
        return (*found, *self.watch.sample(missing, first))

    def _missing_of_tasks(self) -> list[Missing]:
        tasks: list[BudgetedTask[object]] = [
            self.processes.owner_task,
            self._permanent_task,
            self.watch.search,
            self._origin_task,
        ]
        return [
            *self.processes.missing(),
            *(Missing(task.reader, task.reason) for task in tasks if task.reason),
        ]

    def close(self) -> None:
        """Close all files that are open for the next sample."""
        for netns in self._started_for:
            netns.close()
        self.watch.close()
        self.processes.close()
        self.limit_origins.close()
        self.owners.close()
        self.process_facts.close()
        self.names.close()
        self.table.close()

    def refresh(self) -> None:
        """Let all tasks start again at once."""
        for task in self.tasks:
            task.reschedule()

    def resample_queues(self) -> None:
        """Run the tasks again that read queues, and counters that prove a hit, before the next Snapshot: one
        sample of them proves nothing."""
        again: list[BudgetedTask[object]] = [self.processes.cgroup_task]
        self.watch.read_all()
        again += self.watch.tasks()
        for netns in self._started_for:
            again += [netns.datagrams.task, netns.states, netns.udp.task, netns.transmit]
        active = [task for task in self.tasks if task.active]
        for task in again:
            task.reschedule()
        now = boottime()
        for task in active + again:
            while task.active or (task in again and task.due(now)):
                self._run(task)

    def _named_host(self) -> Host:
        """Return the host; the name of our own user may come later, from a slow name service."""
        if self._host.user == str(self._host.uid):
            self._host = replace(self._host, user=self._users.name(self._host.uid))
        return self._host

    def _neighbours(self) -> tuple[Neighbours, ...]:
        known = self._permanent_task.value or {}
        return tuple(replace(table, permanent=known.get(table.table)) for table in neighbours.read(self._own))

    def _memory(self, own: tuple[object, sockstat.HostSockets] | None, sysctls: dict[str, str]) -> Memory | None:
        return sockstat.add_limits(own[1], sysctls) if own else None

    def _read_tasks(self) -> Tasks:
        return host.read_tasks(self._own, self.processes.visible_tasks)

    def _processes(self, missing: list[Missing]) -> Processes | None:
        own = [(each.handle.inode, each.states.value) for each in self._started_for]
        dumps = {inode: dump for inode, dump in (*own, *self.watch.read_states()) if dump is not None}
        queues = self._started_for[0].tcp_queues.by_inode()
        return self.processes.sample(missing, dumps, queues, self.watch.inode_of)

    def _all_listeners(self) -> list[ListenerSampler]:
        return [netns.listeners for netns in self.netns]
