"""Threads that N more connections need: memory maps of the process, tasks of its user, its cgroup and the host."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.cgroups import ANCESTORS_HIDDEN
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.fork_limits import bound_users
from sockmon.ceilings.maps import MAX_MAP_COUNT
from sockmon.ceilings.measuring import sysctl_number
from sockmon.ceilings.tasks import PID_KEY, PID_MAX_LIMIT, THREADS_KEY
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.launch.requirement import UNREAD, Requirement, rounded
from sockmon.guides.launch.shape import Shape
from sockmon.model.snapshot import Process

_FEW_MAPS = 200
"""Memory maps of a process that does not run yet."""


MAPS_NOTE = (
    "two memory maps for each thread, its stack and the guard page; an interpreter can take a third, as"
    " Python 3.11 does"
)


def task_requirements(facts: Facts, shape: Shape, number: int, process: Process | None) -> Iterator[Requirement]:
    """Yield what the threads of `number` connections need; nothing for a program with epoll."""
    if not shape.threads:
        return
    needed = shape.threads * number
    yield _maps(facts, shape.maps * number, process)
    yield from _host(facts, needed)
    yield from _user(facts, needed, process)
    yield from _cgroup(facts, needed, process)


def _maps(facts: Facts, needed: int, process: Process | None) -> Requirement:
    limit, maps = sysctl_number(facts.snapshot.sysctls, MAX_MAP_COUNT), facts.snapshot.maps
    subject = process_label(process) if process else ""
    if limit is None or maps is None:
        return Requirement("memory-maps", subject, needed, "maps", unknown=UNREAD)
    rows = {row.pid: row.maps for row in maps.rows}
    # The rows are the processes with the most maps: another one has no more than the last of them.
    most = min(rows.values(), default=_FEW_MAPS)
    used = rows.get(process.pid, most) if process else _FEW_MAPS
    # An interpreter can map a third one for each thread: Python 3.11 does.
    wanted = rounded(used + needed * 3 // 2)
    settings = (Wanted(MAX_MAP_COUNT, str(wanted), "two maps for each thread, three with some interpreters"),)
    return Requirement("memory-maps", subject, needed, "maps", limit, used, settings)


def _host(facts: Facts, needed: int) -> Iterator[Requirement]:
    tasks = facts.snapshot.tasks
    if tasks is None:
        yield Requirement("pid-max", "", needed, "ids", unknown=UNREAD)
        yield Requirement("threads-max", "", needed, "tasks", unknown=UNREAD)
        return
    wanted = rounded(tasks.total + needed)
    if wanted > PID_MAX_LIMIT:
        words = (f"no kernel has more than {PID_MAX_LIMIT:,} ids: use epoll, or more hosts",)
        yield Requirement("pid-max", "", needed, "ids", tasks.pid_max, tasks.total, (), words)
        return
    ids = (Wanted(PID_KEY, str(wanted), "an id for each thread"),)
    threads = (Wanted(THREADS_KEY, str(wanted), "threads of the whole host"),)
    yield Requirement("pid-max", "", needed, "ids", tasks.pid_max, tasks.total, ids)
    yield Requirement("threads-max", "", needed, "tasks", tasks.threads_max, tasks.total, threads)


def _user(facts: Facts, needed: int, process: Process | None) -> Iterator[Requirement]:
    """Yield RLIMIT_NPROC of the user, if it applies to the process."""
    if process is None:
        reason = (
            f"no process runs yet: RLIMIT_NPROC of its user must be above {needed:,} (LimitNPROC= in its unit)"
        )
        yield Requirement("user-processes", "", needed, "tasks", unknown=reason)
        return
    bound = [row for row in bound_users(facts.snapshot) if row.uid == process.uid]
    user = next((row for row in bound if row.namespace == process.user_namespace), None)
    if process.exempt or user is None:
        return
    wanted = rounded(user.tasks + needed)
    settings = (Wanted(f"nproc@{process.pid}", str(wanted), f"tasks of {user.user}"),)
    words = (f"set LimitNPROC={wanted} in the unit of {process_label(process)}: the limit ends with the process",)
    limit = process.nproc if process.nproc is not None and process.nproc > 0 else user.limit
    yield Requirement("user-processes", user.user, needed, "tasks", limit, user.tasks, settings, words)


def _cgroup(facts: Facts, needed: int, process: Process | None) -> Iterator[Requirement]:
    """Yield the limits of cgroups: whether the process is in one is known of the process with the most tasks."""
    cgroups = facts.snapshot.cgroups
    if cgroups is None:
        yield Requirement("cgroup-pids", "", needed, "tasks", unknown=UNREAD)
        return
    for group in cgroups.pids:
        wanted = rounded(group.current + needed)
        words = (f"set pids.max of {group.path} to {wanted} (TasksMax= of the unit)",)
        row = Requirement("cgroup-pids", group.path, needed, "tasks", group.maximum, group.current, (), words)
        if process and group.name == process_label(process):
            yield row
        elif row.short:
            reason = f"it allows {group.maximum:,}: {words[0]} if the program is in it"
            yield Requirement("cgroup-pids", group.path, needed, "tasks", unknown=reason)
    if cgroups.hidden:
        yield Requirement("cgroup-pids", "", needed, "tasks", unknown=ANCESTORS_HIDDEN)
