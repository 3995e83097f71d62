"""The other network namespaces of the host: found, named, visited in turn, and dropped when they end.

Visiting all of them is one budgeted task, so that each is read again after a few seconds, whatever their number. A
dump is made only where the cheap numbers ask for it, or somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import CLOCK_BOOTTIME, clock_gettime

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.cheap_parts import SYSCTL_SECONDS
from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.watched_netns import FRESH_SECONDS, WatchedNetns
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.discovery import FoundNetns, NetnsInodes, find_namespaces
from sockmon.kernel.namespaces.lookup import distinct_names
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.nsfs_mounts import given_name
from sockmon.kernel.namespaces.other_netns import busiest_process, describe_others
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.netns_visits import NetnsEnded, NetnsPlace, NetnsVisits
from sockmon.kernel.processes.cpu_clock import IdleValues
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.tcp_states import RareStates
from sockmon.model.snapshot import OTHER_NETNS, Missing, Netns, OtherNetns, Process

SEARCH, VISITS = Budget(0.002, 1.5), Budget(0.015, 0.9)
DUMP_SHARE = 0.01
"""Share of a processor of all dumps of the other namespaces together."""
QUIET_VISITS, MAX_QUIET_SECONDS = 20.0, 15.0
"""Visits a second to namespaces in which nothing moves, but each of them is visited after so many seconds."""
SYSCTL_READS, NAME_READS = 4.0, 6.0
"""Namespaces of which sysctls, or names, are read again in one second at most."""
MAX_VISITS = 50
"""Visits of one run, so that there is no long pause after it in which no namespace is visited."""
MAX_WATCHED = 1000
TASKS_SECONDS = 5.0
"""Time for which the list of needed dumps holds if no visit changes it."""
RETRY_SECONDS = 60.0
"""Time after which a namespace that could not be entered is tried again."""
CLOSE_WAIT_SHARE = 2
"""TCP states are dumped where a process has open this part of its descriptors, a half: many in CLOSE_WAIT are a
leak."""
MAX_PIDS = 2_000
"""Processes of one namespace that a Snapshot names."""
KNOWN_PIDS = 8
"""Processes that lead to a namespace."""
NAME_SECONDS = 30.0
"""Age from which on the name of a namespace is read again."""


def _now() -> float:
    return clock_gettime(CLOCK_BOOTTIME)


class NetnsWatch:
    """Watches the namespaces of `rows()` and of mounts, except those of `handles`."""

    def __init__(
        self,
        rows: Callable[[], Sequence[Process]],
        handles: Sequence[NetnsHandle],
        names: NamespaceNames,
        table: ProcessTable,
        owners: Owners,
        keeps_sockets: bool = True,
        most: int = MAX_WATCHED,
    ) -> None:
        """`most`: how many are watched; 0: all are only counted."""
        self._rows = rows
        self._sampled = {(handle.inode, handle.proc_inode) for handle in handles}
        self._names = names
        self._proc = table.proc
        self._idle = IdleValues[NetnsInodes](table.cpu_time)
        self._owners = owners
        self._keeps_sockets = keeps_sockets
        self._most = most
        self._visits = NetnsVisits(table.proc)
        self._watched: dict[int, WatchedNetns] = {}
        self._named_at: dict[int, tuple[float, object]] = {}
        self._refused: dict[int, float] = {}
        """Inode → when it could not be entered."""
        self.inode_of: dict[int, int] = {}
        """Process → the inode of its namespace, if that is known, as of the last search."""
        self._chosen = 0
        self._tasks: tuple[float, list[BudgetedTask[object]]] = (float("-inf"), [])
        self._dumped: dict[int, WatchedNetns] = {}
        """The namespace of each of these tasks, by the id of the object."""
        self.search = BudgetedTask(OTHER_NETNS, self._search, SEARCH)
        self.visits = BudgetedTask(OTHER_NETNS, self._visit_due, VISITS)

    def close(self) -> None:
        """Close all of them; safe to call twice."""
        for inode in [*self._watched]:
            self._drop(inode)
        self._visits.close()

    @property
    def samplers(self) -> list[NetnsSampler]:
        """Return the samplers of all that are watched."""
        return [watched.sampler for watched in self._watched.values()]

    @property
    def chosen(self) -> NetnsSampler | None:
        """Return the sampler of the one that is sampled as our own."""
        found = self._watched.get(self._chosen)
        return found.sampler if found else None

    def choose(self, inode: int) -> None:
        """Sample this one as our own from now on, and no other; 0: none."""
        for watched in self._watched.values():
            if watched.chosen != (watched.place.inode == inode):
                watched.choose(watched.place.inode == inode)
        self._chosen = inode
        self._forget_tasks()

    def _forget_tasks(self) -> None:
        self._tasks = (float("-inf"), [])

    def read_states(self) -> list[tuple[int, RareStates]]:
        """Return the inode and the last dump of states of those where it is needed now."""
        now = _now()
        needed = [(inode, each) for inode, each in self._watched.items() if each.needs("states", now)]
        dumps = ((inode, each.sampler.states.value) for inode, each in needed)
        return [(inode, dump) for inode, dump in dumps if dump is not None]

    def sampler_of(self, inode: int) -> NetnsSampler | None:
        """Return the sampler of one of them; None if it is not watched."""
        found = self._watched.get(inode)
        return found.sampler if found else None

    def tasks(self) -> list[BudgetedTask[object]]:
        """Return the dumps that are needed; together they have one share of a processor."""
        now = _now()
        if now - self._tasks[0] >= TASKS_SECONDS:
            self._tasks = (now, self._needed_tasks(now))
        return self._tasks[1]

    def release_after(self, task: BudgetedTask[object]) -> None:
        """Close what a dump has opened, if this was one and has ended."""
        if not task.active and (watched := self._dumped.get(id(task))) is not None:
            watched.release_idle()

    def _needed_tasks(self, now: float) -> list[BudgetedTask[object]]:
        wanted = [(watched, watched.tasks(now)) for watched in self._watched.values()]
        wanted = [(watched, tasks) for watched, tasks in wanted if tasks]
        # What was dumped longest ago comes first.
        wanted.sort(key=lambda pair: min(task.at or 0.0 for task in pair[1]))
        self._dumped = {id(task): watched for watched, tasks in wanted for task in tasks}
        for watched, tasks in wanted:
            if not watched.chosen:
                for task in tasks:
                    task.budget = Budget(DUMP_SHARE / len(wanted) / len(tasks), 2.0)
        return [task for _, tasks in wanted for task in tasks]

    def sample(self, missing: list[Missing], known: Sequence[Missing]) -> Iterator[Netns]:
        """Yield each as of its last visit; what is `known` to be missing of the first one is not repeated."""
        repeated = {(entry.reader, entry.reason) for entry in known}
        for inode, watched in self._watched.items():
            own: list[Missing] = []
            if (found := watched.sample(own)) is not None:
                missing += [
                    replace(entry, netns=inode) for entry in own if (entry.reader, entry.reason) not in repeated
                ]
                yield found

    def read_all(self) -> None:
        """Read every one of them again at once, with the dumps that are needed."""
        for watched in [*self._watched.values()]:
            self._visit(watched, every=True)

    def _search(self) -> Incremental[OtherNetns]:
        """Find all namespaces; watch those that are new, drop those that have ended, and return the others."""
        at, found = _now(), (yield from find_namespaces(self._rows(), self._proc, self._idle))
        by_inode = {each.inode: each for each in found if each.inode}
        for inode in [inode for inode in self._watched if inode not in by_inode]:
            self._drop(inode)
        self._refused = {inode: since for inode, since in self._refused.items() if inode in by_inode}
        sampled = {inode for inode, _ in self._sampled}
        # An inode tells two of them apart only if our own is known.
        for inode, each in by_inode.items():
            if inode not in sampled and self._most:
                self._update(each, at)
                yield
        self._tell_apart()
        inode_of = {row.pid: inode for inode, each in by_inode.items() for row in each.processes}
        if inode_of != self.inode_of:
            self.inode_of = inode_of
        watched = {(inode, by_inode[inode].proc_inode) for inode in self._watched}
        return (yield from describe_others(found, self._sampled, watched, self._names, self._proc, at))

    def _tell_apart(self) -> None:
        """Name containers of one name, of two runtimes or users, by their ids too."""
        handles = {inode: watched.sampler.handle for inode, watched in self._watched.items()}
        called = {inode: handle.called for inode, handle in handles.items() if handle.called}
        for inode, name in distinct_names(called).items():
            handles[inode].name = name

    def _update(self, found: FoundNetns[Process], now: float) -> None:
        inode = found.inode
        oldest = sorted(found.processes, key=lambda row: (row.start, row.pid))
        watched = self._watched.get(inode)
        if watched is None:
            if len(self._watched) >= self._most or now - self._refused.get(inode, float("-inf")) < RETRY_SECONDS:
                return
            place = NetnsPlace(inode, (), ())
            watched = WatchedNetns(place, self._visits, self._owners, self._keeps_sockets)
            watched.place.pids, watched.place.mounts = _ways(oldest, found)
            if not self._visit(watched, new=True):
                watched.close()
                return
            self._watched[inode] = watched
            if inode == self._chosen:
                watched.choose(True)
        watched.place.pids, watched.place.mounts = _ways(oldest, found)
        first = (oldest[0].pid, oldest[0].start) if oldest else found.mounts[:1]
        named_at, whose = self._named_at.get(inode, (float("-inf"), None))
        if whose != first or now - named_at >= self._spread(NAME_SECONDS, NAME_READS):
            self._named_at[inode] = (now, first)
            called = self._names.name(found).called
            pids = [row.pid for row in oldest]
            entry = next(filter(None, map(given_name, found.mounts)), "") or (
                str(pids[0]) if pids else found.mounts[0]
            )
            watched.describe(called.name if called else _process_name(found), called, entry, pids, len(oldest))
        else:
            watched.processes = len(oldest)
        watched.pids = tuple(row.pid for row in oldest[:MAX_PIDS])
        if any(map(_may_leak, oldest)) and watched.need("states", now):
            self._forget_tasks()

    def _visit_due(self) -> Incremental[None]:
        """Visit those that were not visited for the longest time, MAX_VISITS of them."""
        quiet_seconds = min(self._spread(FRESH_SECONDS, QUIET_VISITS), MAX_QUIET_SECONDS)
        visits = 0
        every = sorted(self._watched.values(), key=lambda each: each.parts.at if each.parts else 0.0)
        for watched in every:
            # It may have been dropped since the start of this round, or visited for another reason.
            if self._watched.get(watched.place.inode) is watched and not watched.is_fresh(_now(), quiet_seconds):
                self._visit(watched)
                visits += 1
                yield
            if visits == MAX_VISITS:
                return

    def _visit(self, watched: WatchedNetns, every: bool = False, new: bool = False) -> bool:
        """Visit one; if it has ended, or may not be entered any more, drop it, and return False."""
        inode = watched.place.inode
        try:
            if watched.visit(_now(), every, self._spread(SYSCTL_SECONDS, SYSCTL_READS)):
                self._forget_tasks()
        except NetnsEnded:
            self.search.reschedule()
        except OSError:
            self._refused[inode] = _now()
        else:
            return True
        if not new:
            self._drop(inode)
        return False

    def _spread(self, seconds: float, reads: float) -> float:
        """Return the age at which a part is read again: `seconds`, or more if that would be more than so many
        reads a second."""
        return max(seconds, len(self._watched) / reads)

    def _drop(self, inode: int) -> None:
        self._named_at.pop(inode, None)
        self._watched.pop(inode).close()
        self._forget_tasks()


def _ways(oldest: Sequence[Process], found: FoundNetns[Process]) -> tuple[list[int], list[str]]:
    return [row.pid for row in oldest[:KNOWN_PIDS]], found.mounts[:KNOWN_PIDS]


def _may_leak(row: Process) -> bool:
    return row.fds is not None and 0 < (row.soft or 0) <= CLOSE_WAIT_SHARE * row.fds


def _process_name(found: FoundNetns[Process]) -> str:
    """Return the busiest process, which names a namespace that has no other name."""
    largest = busiest_process(found)
    return f"{largest.name}[{largest.pid}]" if largest else f"net:[{found.inode}]"
