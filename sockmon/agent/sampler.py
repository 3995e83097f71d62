"""The kernel → Snapshots: cheap reads for each one, expensive ones within a budget of processor time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from msgspec.structs import replace

from sockmon.agent.budget import TOTAL_PERCENT, Budget, BudgetedTask
from sockmon.agent.host_sysctls import read_host_sysctls
from sockmon.agent.limit_origins import LimitOrigins
from sockmon.agent.listener_owners import unreadable_descriptors
from sockmon.agent.listener_sampler import ListenerSampler
from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.netns_watch import MAX_WATCHED, NetnsWatch
from sockmon.agent.part import read_or_missing
from sockmon.agent.process_states import StateMatrix
from sockmon.agent.wanted_netns import open_wanted
from sockmon.errors import ReadError
from sockmon.kernel import host, meminfo, neighbours, own_descriptors, sockstat, softnet
from sockmon.kernel.cgroups.cgroups import CgroupReader
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.netns import open_current
from sockmon.kernel.processes.acceptors import AcceptorReader
from sockmon.kernel.processes.attribution import Attribution, Namespaces
from sockmon.kernel.processes.epoll_inotify import WatchCounter
from sockmon.kernel.processes.locked_memory import LockedMemoryReader
from sockmon.kernel.processes.memory_maps import MapCounter
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
from sockmon.kernel.sockets.tcp_states import MAX_CLOSE_WAIT_INODES, CloseWaitSockets
from sockmon.model.snapshot import (
    Cgroups,
    Host,
    Memory,
    Missing,
    Neighbours,
    Netns,
    Owner,
    Process,
    Processes,
    Snapshot,
    Watches,
)

SLICE_SECONDS = 0.005
"""Processor time of one slice of budgeted work: requests and ticks never wait longer for it."""
TICK_WORK_SECONDS = 0.03
"""Budgeted work that a tick waits for, so that on most hosts all parts of a Snapshot are equally new."""
PROCESSES, OWNERS = Budget(0.005, 2.0), Budget(0.004, 2.0)
CGROUPS, MAPS, LOCKED = Budget(0.002, 2.0), Budget(0.0015, 2.0), Budget(0.0005, 2.0)
WATCHES, NEIGHBOURS = Budget(0.001, 5.0), Budget(0.001, 5.0)
ACCEPTORS = Budget(0.001, 2.0)
ORIGINS = Budget(0.0005, 10.0)
COST_WINDOW_SECONDS = 60.0
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
        self._attribution = Attribution(self.owners)
        self._close_wait = CloseWaitSockets()
        self.cgroup_reader = CgroupReader(shared_proc=self.table.proc)
        self._map_counter = MapCounter(self.table)
        self._watch_counts = WatchCounter(self.table.proc, self._users)
        self._started_for = [NetnsSampler(handle, self.owners) for handle in handles]
        self._process_task = BudgetedTask("processes", self._read_processes, PROCESSES)
        self._cgroup_task = BudgetedTask("cgroups", self._read_cgroups, CGROUPS)
        self._owner_task = BudgetedTask("owners", lambda: self.owners.refresh(self.rows()), OWNERS)
        self._map_task = BudgetedTask("maps", lambda: self._map_counter.steps(self.rows(), boottime()), MAPS)
        self._watch_task = BudgetedTask("watches", self._count_watches, WATCHES)
        locked = LockedMemoryReader(self.table, self.owners)
        self._locked_task = BudgetedTask("locked memory", lambda: locked.steps(self.rows(), boottime()), LOCKED)
        self._acceptors = AcceptorReader(self.table)
        self._acceptor_task = BudgetedTask("acceptors", self._read_acceptors, ACCEPTORS)
        self.limit_origins = LimitOrigins()
        self._origin_task = BudgetedTask("limit origins", lambda: self.limit_origins.steps(self.rows()), ORIGINS)
        self._permanent_task = BudgetedTask("neighbours", lambda: neighbours.count_permanent(own), NEIGHBOURS)
        self.names = NamespaceNames(self.table.proc, StateFiles())
        self.process_states = StateMatrix(self.owners)
        self.process_facts = FactsReader(self.table.proc, self._users)
        self.watch = NetnsWatch(self.rows, handles, self.names, self.table, self.owners, own.keeps_open, watched)
        self._other_task = self.watch.search
        self._visible_tasks = 0
        self._started = (boottime(), time.process_time())
        self._costs: deque[tuple[float, float]] = deque()

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
            self._process_task,
            *(task for netns in self._started_for for task in netns.first_tasks),
            self._owner_task,
            *(task for netns in self._started_for for task in netns.tasks),
            self._other_task,
            self.watch.visits,
            *self.watch.tasks(),
            self._cgroup_task,
            *(task for netns in self._started_for for task in netns.late_tasks),
            self._map_task,
            self._watch_task,
            self._locked_task,
            self._acceptor_task,
            self._permanent_task,
            self._origin_task,
        )

    def rows(self) -> tuple[Process, ...]:
        """Return all processes as of the last time that they were read."""
        return self._process_task.value.rows if self._process_task.value else ()

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
            cost=self._cost(),
            host=self._named_host(),
            files=read_or_missing(missing, "files", lambda: host.read_files(self._own)),
            tasks=read_or_missing(missing, "tasks", lambda: host.read_tasks(self._own, self._visible_tasks)),
            memory=read_or_missing(missing, "memory", lambda: self._memory(own, sysctls)),
            processes=read_or_missing(missing, "processes", lambda: self._processes(missing)),
            netns=self._sample_netns(missing),
            neighbours=read_or_missing(missing, "neighbours", self._neighbours),
            softnet=read_or_missing(missing, "softnet", lambda: softnet.read(self._own)),
            available_memory=read_or_missing(missing, "meminfo", lambda: meminfo.read_available(self._own)),
            missing=tuple(dict.fromkeys(missing)),
            sysctls=sysctls,
            maps=self._map_task.value,
            watches=self._watch_task.value,
            cgroups=self._cgroup_task.value,
            other_netns=self._other_task.value,
            locked=self._locked_task.value,
            limit_origins=self._origin_task.value or (),
        )

    def _complete(self) -> None:
        """Do all work that is due now, once: with a million sockets some would be due again before the end."""
        since = boottime()
        while self.step(since=since):
            pass
        if self._users.wait_for_names(NAME_SERVICE_SECONDS):
            again: list[BudgetedTask[object]] = [self._process_task, self._watch_task]
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
        parts: list[BudgetedTask[object]] = [
            self._cgroup_task,
            self._map_task,
            self._watch_task,
            self._locked_task,
        ]
        return [
            *self._map_counter.missing,
            *self.cgroup_reader.missing,
            *(
                Missing(task.reader, task.reason or "not read yet")
                for task in parts
                if task.reason or task.value is None
            ),
            *(
                Missing(task.reader, task.reason)
                for task in (self._owner_task, self._permanent_task, self._other_task, self._origin_task)
                if task.reason
            ),
        ]

    def close(self) -> None:
        """Close all files that are open for the next sample."""
        for netns in self._started_for:
            netns.close()
        self.watch.close()
        self.cgroup_reader.close()
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
        again: list[BudgetedTask[object]] = [self._cgroup_task]
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

    def _processes(self, missing: list[Missing]) -> Processes | None:
        """Return all processes, with their sockets as of the last walk over descriptors."""
        missing.extend(self.table.missing)
        found = self._process_task.value
        if found is None or self._process_task.reason:
            missing.append(Missing("processes", self._process_task.reason or "not read yet"))
        missing += unreadable_descriptors(self.owners)
        if found is None:
            return None
        own = [(each.handle.inode, each.states.value) for each in self._started_for]
        read = {inode: dump for inode, dump in (*own, *self.watch.read_states()) if dump is not None}
        if any(dump.capped for dump in read.values()):
            missing.append(
                Missing(
                    "owners", f"owners are read for {MAX_CLOSE_WAIT_INODES:,} sockets in CLOSE_WAIT, not for all"
                )
            )
        queues = self._started_for[0].tcp_queues.by_inode()
        where = Namespaces(self.watch.inode_of, frozenset(read))
        return self._attribution.attribute(found, self._close_wait.of(list(read.values())), queues, where)

    def _read_processes(self) -> Incremental[Processes]:
        found = yield from self.table.steps(boottime())
        self._visible_tasks = sum(row.threads for row in found.rows)
        return found

    def _read_cgroups(self) -> Incremental[Cgroups]:
        return (yield from self.cgroup_reader.steps(self.rows(), boottime()))

    def _count_watches(self) -> Incremental[Watches]:
        """Count the watches of the descriptors that the last walk found."""
        if self.owners.at is None:
            raise ReadError("watches", "the descriptors of processes have not been read yet")
        holders = self.owners.watching_processes()
        shared = [inode for inode, held in self._holders().items() if len(held) > 1]
        below = self._process_task.value.user_namespaces if self._process_task.value else ()
        work = self._watch_counts.steps(holders, self.rows(), boottime(), self.owners.unseen, shared, below)
        return (yield from work)

    def _holders(self) -> dict[int, tuple[Owner, ...]]:
        return self.owners.holders_of({inode for netns in self.netns for inode in netns.listeners.inodes()})

    def _read_acceptors(self) -> Incremental[None]:
        """Read who accepts on the listeners, with the epoll sets that were read last."""
        found = yield from self._acceptors.steps(self._holders(), self._watch_counts.members)
        for netns in self.netns:
            netns.listeners.acceptors = found

    def _cost(self) -> float:
        """Return our share of a processor over the last minute; the first minute includes the start."""
        now = (boottime(), time.process_time())
        first = self._costs[0] if self._costs else self._started
        self._costs.append(now)
        while self._costs[0][0] < now[0] - COST_WINDOW_SECONDS:
            self._costs.popleft()
        return (now[1] - first[1]) / max(now[0] - first[0], 1e-3)
