"""How full the five limits are at which pthread_create() fails with EAGAIN, and fork() at four of them, to find
out which one is reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import NamedTuple

from sockmon.ceilings.ceiling import Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.measuring import release, sysctl_number
from sockmon.model.snapshot import UNLIMITED, Process, Snapshot
from sockmon.model.user_namespace import UNREADABLE, UserCount, charged

FORK_FAILS = "fork(), clone() and pthread_create() fail with EAGAIN (11)"
SANDBOX_LIMIT = 16
"""A limit of tasks so low that no program works with it: that of a sandbox."""
SANDBOX_RATIO = 1.5
"""A limit that only few tasks of a user have is ignored, as that of a sandbox, if the user is this far above
it."""

_PER_NAMESPACE = (5, 14)
"""Linux from which on a user has a count in each user namespace; before, one on the whole host."""


def same_name(processes: int, name: str) -> str:
    """Return how several processes of one name are written."""
    return f"{processes:,} processes named {name}"


class NamedTasks(NamedTuple):
    """The tasks of the processes that have one name: a server that forks has many processes of one task."""

    name: str
    tasks: int
    processes: int
    first: Process
    """Of these processes, the one with the most threads."""

    @property
    def label(self) -> str:
        """`nginx[1044]`, or `45 processes named nginx`."""
        return (
            process_label(self.first) if self.processes == 1 else f"{self.processes:,} processes named {self.name}"
        )


class UserTasks(NamedTuple):
    """The tasks of one real user in one user namespace, and the limit of his processes there."""

    uid: int
    user: str
    namespace: int
    """0: sockmon's own; UNREADABLE: several may be added up here."""
    tasks: int
    """Includes those of `created`."""
    processes: int
    limit: int
    bound_process: Process
    """Of the processes that have the limit, the one with the most threads."""
    largest: NamedTasks
    created: int
    """Tasks in user namespaces that the user created."""


class _Counted:
    """The processes of one user in one namespace, and those in the namespaces that he created there."""

    def __init__(self) -> None:
        self.own: list[Process] = []
        self.created: list[Process] = []


def bound_users(now: Snapshot) -> list[UserTasks]:
    """Return the users to whom RLIMIT_NPROC applies, the fullest first."""
    found = [bound for key, each in _count(now).items() if (bound := _user_tasks(key[0], each)) is not None]
    return sorted(found, key=lambda user: user.tasks / user.limit, reverse=True)


def creators_without_process(now: Snapshot) -> dict[UserCount, int]:
    """Return the users who created user namespaces, and are charged for the tasks there, but have no process of
    their own that shows the limit; root has none."""
    return {
        key: tasks
        for key, each in _count(now).items()
        if not each.own and key[1] and (tasks := _tasks(row for row in each.created if not row.exempt))
    }


def _count(now: Snapshot) -> dict[UserCount, _Counted]:
    counted: defaultdict[UserCount, _Counted] = defaultdict(_Counted)
    namespaces = {each.inode: each for each in now.processes.user_namespaces} if now.processes else {}
    by_namespace = release(now.host.kernel) >= _PER_NAMESPACE
    of_user: defaultdict[UserCount, list[Process]] = defaultdict(list)
    for row in now.processes.rows if now.processes else ():
        of_user[row.user_namespace if by_namespace else 0, row.uid].append(row)
    for user, rows in of_user.items():
        own, *creators = charged(namespaces, *user)
        counted[own].own += rows
        for creator in creators:
            counted[creator].created += rows
    return counted


def _user_tasks(namespace: int, counted: _Counted) -> UserTasks | None:
    by_limit: dict[int, list[Process]] = {}
    for row in counted.own:
        if row.exempt or row.nproc is None or row.nproc == UNLIMITED:
            continue
        if row.nproc > max(SANDBOX_LIMIT, row.threads - 1):
            by_limit.setdefault(row.nproc, []).append(row)
    rows = counted.own + counted.created
    tasks, created = _tasks(rows), _tasks(counted.created)
    for limit, having in sorted(by_limit.items()):
        if tasks <= SANDBOX_RATIO * limit or 2 * (_tasks(having) + created) >= tasks:
            bound, first = max(having, key=_threads), counted.own[0]
            (largest,) = _by_name(rows, 1)
            return UserTasks(first.uid, first.user, namespace, tasks, len(rows), limit, bound, largest, created)
    return None


def namespace_suffix(namespace: int) -> str:
    """Return what follows the name of a user to tell his counts apart; empty for our own user namespace."""
    if namespace == UNREADABLE:
        return " in other user namespaces"
    return f" user:[{namespace}]" if namespace else ""


def most_tasks(window: Window) -> list[str]:
    """Return the processes with the most tasks, in one line."""
    rows = window.now.processes.rows if window.now.processes else ()
    return [most_tasks_line(_by_name(rows, 3))] if rows else []


def most_tasks_line(found: Iterable[NamedTasks]) -> str:
    """Return `most tasks: java[9] 197, 45 processes named nginx 45`."""
    return "most tasks: " + ", ".join(f"{each.label} {each.tasks:,}" for each in found)


def _by_name(rows: Iterable[Process], count: int) -> list[NamedTasks]:
    """Return the names whose processes have the most tasks; among equals the process with the most threads."""
    named: defaultdict[str, list[Process]] = defaultdict(list)
    for row in rows:
        named[row.name].append(row)
    found = [NamedTasks(name, _tasks(same), len(same), max(same, key=_threads)) for name, same in named.items()]
    return nlargest(count, found, key=lambda each: (each.tasks, each.first.threads))


def other_causes(window: Window, ceiling: str) -> list[str]:
    """Return how full the other limits are at which fork() fails in the same way, in one line."""
    others = [text for other, text in _causes(window) if other != ceiling]
    return ["other causes of EAGAIN: " + "; ".join(others)] if others else []


def _causes(window: Window) -> Iterator[tuple[str, str]]:
    now = window.now
    if now.cgroups and now.cgroups.pids:
        group = max(now.cgroups.pids, key=lambda group: group.current / max(group.maximum, 1))
        yield "cgroup-pids", f"pids.max of {group.path} {_of(group.current, group.maximum)}"
    if users := bound_users(now):
        user = users[0]
        which = f"{user.user}{namespace_suffix(user.namespace)}"
        yield "user-processes", f"tasks of {which} {_of(user.tasks, user.limit)}"
    if now.tasks:
        if now.tasks.initial:
            yield "pid-max", f"kernel.pid_max {_of(now.tasks.total, now.tasks.pid_max)}"
        yield "threads-max", f"kernel.threads-max {_of(now.tasks.total, now.tasks.threads_max)}"
    limit = sysctl_number(now.sysctls, "vm.max_map_count")
    if limit is not None and now.maps and now.maps.rows:
        row = now.maps.rows[0]
        yield "memory-maps", f"maps of {process_label(row)} {_of(row.maps, limit)}"


def _of(used: int, limit: int) -> str:
    return f"{used:,} of {limit:,}" + (", also full" if used >= limit else "")


def _tasks(rows: Iterable[Process]) -> int:
    return sum(row.threads for row in rows)


def _threads(row: Process) -> int:
    return row.threads
