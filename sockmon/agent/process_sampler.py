"""All processes, and what is read of them within a budget: sockets, cgroups, maps, watches, locked memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import CLOCK_BOOTTIME, clock_gettime

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.listener_owners import unreadable_descriptors
from sockmon.agent.listener_sampler import ListenerSampler
from sockmon.errors import ReadError
from sockmon.kernel.cgroups.cgroups import CgroupReader
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.acceptors import AcceptorReader
from sockmon.kernel.processes.attribution import Attribution, Namespaces
from sockmon.kernel.processes.epoll_inotify import WatchCounter
from sockmon.kernel.processes.locked_memory import LockedMemoryReader
from sockmon.kernel.processes.memory_maps import MapCounter
from sockmon.kernel.processes.passwd import Users
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.tcp_states import MAX_CLOSE_WAIT_INODES, CloseWaitSockets, RareStates
from sockmon.model.snapshot import Cgroups, Missing, Owner, Process, Processes, Watches

PROCESSES, OWNERS = Budget(0.005, 2.0), Budget(0.004, 2.0)
CGROUPS, MAPS, LOCKED = Budget(0.002, 2.0), Budget(0.0015, 2.0), Budget(0.0005, 2.0)
WATCHES, ACCEPTORS = Budget(0.001, 5.0), Budget(0.001, 2.0)


class ProcessSampler:
    """Reads the processes of `table` and their descriptors. `listeners` returns those of all namespaces, each of
    which is told who accepts on it."""

    def __init__(
        self,
        table: ProcessTable,
        owners: Owners,
        users: Users,
        listeners: Callable[[], Sequence[ListenerSampler]],
    ) -> None:
        self._table = table
        self._owners = owners
        self._listeners = listeners
        self._attribution = Attribution(owners)
        self._close_wait = CloseWaitSockets()
        self._cgroup_reader = CgroupReader(shared_proc=table.proc)
        self._map_counter = MapCounter(table)
        self._watch_counter = WatchCounter(table.proc, users)
        self._acceptors = AcceptorReader(table)
        locked = LockedMemoryReader(table, owners)
        self.task = BudgetedTask("processes", self._read_processes, PROCESSES)
        self.owner_task = BudgetedTask("owners", lambda: owners.refresh(self.rows()), OWNERS)
        self.cgroup_task = BudgetedTask("cgroups", self._read_cgroups, CGROUPS)
        self.map_task = BudgetedTask("maps", lambda: self._map_counter.steps(self.rows(), _now()), MAPS)
        self.watch_task = BudgetedTask("watches", self._count_watches, WATCHES)
        self.locked_task = BudgetedTask("locked memory", lambda: locked.steps(self.rows(), _now()), LOCKED)
        self.acceptor_task = BudgetedTask("acceptors", self._read_acceptors, ACCEPTORS)
        self.late_tasks: Sequence[BudgetedTask[object]] = (
            self.map_task,
            self.watch_task,
            self.locked_task,
            self.acceptor_task,
        )
        """Those that start when cgroups and the owners of sockets have been read."""
        self.visible_tasks = 0
        """Threads of all processes as of the last time that they were read."""

    def close(self) -> None:
        """Close the files of cgroups; `table` and `owners` are not ours."""
        self._cgroup_reader.close()

    def rows(self) -> tuple[Process, ...]:
        """Return all processes as of the last time that they were read."""
        return self.task.value.rows if self.task.value else ()

    def sample(
        self,
        missing: list[Missing],
        dumps: Mapping[int, RareStates],
        queues: Mapping[int, tuple[int, int]] | None,
        inode_of: Mapping[int, int],
    ) -> Processes | None:
        """Return all processes, with their sockets as of the last walk over descriptors; None before they were
        read.

        `dumps`: the last dump of states by namespace; `queues`: receive and send queue of sockets by inode;
        `inode_of`: the namespace of a process."""
        missing.extend(self._table.missing)
        found = self.task.value
        if found is None or self.task.reason:
            missing.append(Missing("processes", self.task.reason or "not read yet"))
        missing += unreadable_descriptors(self._owners)
        if found is None:
            return None
        if any(dump.capped for dump in dumps.values()):
            missing.append(
                Missing(
                    "owners", f"owners are read for {MAX_CLOSE_WAIT_INODES:,} sockets in CLOSE_WAIT, not for all"
                )
            )
        where = Namespaces(inode_of, frozenset(dumps))
        return self._attribution.attribute(found, self._close_wait.of(list(dumps.values())), queues, where)

    def missing(self) -> list[Missing]:
        """Return why a part of cgroups, maps, watches or locked memory is not known."""
        parts: list[BudgetedTask[object]] = [self.cgroup_task, self.map_task, self.watch_task, self.locked_task]
        return [
            *self._map_counter.missing,
            *self._cgroup_reader.missing,
            *(
                Missing(task.reader, task.reason or "not read yet")
                for task in parts
                if task.reason or task.value is None
            ),
        ]

    def _read_processes(self) -> Incremental[Processes]:
        found = yield from self._table.steps(_now())
        self.visible_tasks = sum(row.threads for row in found.rows)
        return found

    def _read_cgroups(self) -> Incremental[Cgroups]:
        return (yield from self._cgroup_reader.steps(self.rows(), _now()))

    def _count_watches(self) -> Incremental[Watches]:
        """Count the watches of the descriptors that the last walk found."""
        if self._owners.at is None:
            raise ReadError("watches", "the descriptors of processes have not been read yet")
        holders = self._owners.watching_processes()
        shared = [inode for inode, held in self._holders().items() if len(held) > 1]
        below = self.task.value.user_namespaces if self.task.value else ()
        work = self._watch_counter.steps(holders, self.rows(), _now(), self._owners.unseen, shared, below)
        return (yield from work)

    def _holders(self) -> dict[int, tuple[Owner, ...]]:
        return self._owners.holders_of({inode for each in self._listeners() for inode in each.inodes()})

    def _read_acceptors(self) -> Incremental[None]:
        """Read who accepts on the listeners, with the epoll sets that were read last."""
        found = yield from self._acceptors.steps(self._holders(), self._watch_counter.members)
        for listeners in self._listeners():
            listeners.acceptors = found


def _now() -> float:
    return clock_gettime(CLOCK_BOOTTIME)
