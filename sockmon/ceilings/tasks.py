"""Tasks of the whole host: their ids (kernel.pid_max) and their number (kernel.threads-max)."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.fork_limits import FORK_FAILS, most_tasks, other_causes
from sockmon.ceilings.measuring import release, unknown_measure, unread_measure
from sockmon.ceilings.namespace_shares import of_processes
from sockmon.ceilings.remedies import application, next_limit
from sockmon.format import plural
from sockmon.misconceptions import PID_NAMESPACE, STACK_MEMORY, THREADS_32K
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Tasks

PID_KEY, THREADS_KEY = "kernel.pid_max", "kernel.threads-max"
READERS = ("tasks", "loadavg", "/proc/loadavg", PID_KEY, THREADS_KEY)
PID_MAX_LIMIT = 4_194_304
"""PID_MAX_LIMIT of a 64-bit kernel, include/linux/threads.h."""
MAX_THREADS = 0x3FFFFFFF
"""FUTEX_TID_MASK, to which kernel/fork.c clamps threads-max."""
RESERVED_PIDS = 300
"""RESERVED_PIDS, kernel/pid.c."""
HOST_LIMIT_HIDDEN = "kernel.pid_max of the host applies too, but is not visible from inside this pid namespace"
_PER_NAMESPACE = (6, 14)
"""Linux from which on each pid namespace has a kernel.pid_max of its own."""
_NEAR_LIMIT_RATIO = 0.85


def _pid_max(window: Window) -> Iterator[Measure]:
    host, tasks = window.now.host.name, window.now.tasks
    if tasks is None:
        yield unread_measure(host, window.missing(*READERS))
        return
    if tasks.initial or release(window.now.host.kernel) < _PER_NAMESPACE:
        yield _pid_measure(host, tasks, tasks.total)
        return
    processes = window.now.processes
    if processes is not None:
        visible = sum(row.threads for row in processes.rows)
        yield _pid_measure(f"pid:[{tasks.namespace}]", tasks, visible)
    yield unknown_measure(host, HOST_LIMIT_HIDDEN)


def _pid_measure(subject: str, tasks: Tasks, used: int) -> Measure:
    # The kernel never allocates id 0, and no id below 300 a second time.
    unavailable = RESERVED_PIDS - tasks.low if tasks.low is not None else 1
    return Measure(subject, used, tasks.pid_max, effective_used=used + unavailable, payload=tasks)


def _pid_max_evidence(window: Window, measure: Measure) -> list[str]:
    tasks = measure.payload
    assert isinstance(tasks, Tasks)
    where = "on the host" if measure.subject == window.now.host.name else "visible in this pid namespace"
    lines = [f"{plural(measure.used or 0, 'task')} {where}, {PID_KEY} {measure.limit:,}"]
    if tasks.low is not None and tasks.low < RESERVED_PIDS - 1:
        last = f"; the last id allocated is {tasks.last_pid:,}" if tasks.last_pid else ""
        lost = RESERVED_PIDS - 1 - tasks.low
        lines.append(f"{lost} ids below {RESERVED_PIDS} are free, but never allocated again{last}")
    if _is_near_limit(measure):
        lines.append(f"without a free id {FORK_FAILS}; no counter moves and the kernel logs nothing")
        lines += [*most_tasks(window), *_by_namespace(window), *other_causes(window, "pid-max")]
    return lines


def _pid_max_remedies(window: Window, measure: Measure) -> list[Remedy]:
    limit = measure.limit or 0
    fewer = _fewer_tasks(window)
    if limit >= PID_MAX_LIMIT:
        return [fewer]
    wanted = min(next_limit(limit, 4), PID_MAX_LIMIT)
    tasks = window.now.tasks
    text = "takes effect at once, costs nothing"
    if tasks and tasks.threads_max < wanted:
        text += f"; then {THREADS_KEY} is the limit, now {tasks.threads_max:,}"
    return [Remedy("sysctl", PID_KEY, str(wanted), text), fewer]


def _by_namespace(window: Window) -> list[str]:
    return of_processes(window, "tasks", lambda row: row.threads)


def _fewer_tasks(window: Window) -> Remedy:
    rows = window.now.processes.rows if window.now.processes else ()
    largest = max(rows, key=lambda row: row.threads, default=None)
    who = f"{process_label(largest)}, which has {largest.threads:,}" if largest else "the process with the most"
    return application(f"use fewer tasks: check {who}; use a pool instead of one for each connection")


def _threads_max(window: Window) -> Iterator[Measure]:
    host, tasks = window.now.host.name, window.now.tasks
    if tasks is None:
        yield unread_measure(host, window.missing(*READERS))
    else:
        yield Measure(host, tasks.total, tasks.threads_max)


def _threads_max_evidence(window: Window, measure: Measure) -> list[str]:
    lines = [f"{measure.used:,} tasks on the host, {THREADS_KEY} {measure.limit:,}"]
    if _is_near_limit(measure):
        lines.append(f"at the limit {FORK_FAILS}, for root too")
        lines += [*most_tasks(window), *_by_namespace(window), *other_causes(window, "threads-max")]
    return lines


def _threads_max_remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = min(next_limit(measure.limit or 0), MAX_THREADS)
    text = "takes effect at once; each task takes about 28 kB of kernel memory"
    tasks = window.now.tasks
    if tasks and tasks.initial and tasks.pid_max < wanted:
        text += f"; raise {PID_KEY}, now {tasks.pid_max:,}, as well"
    return [Remedy("sysctl", THREADS_KEY, str(wanted), text), _fewer_tasks(window)]


def _is_near_limit(measure: Measure) -> bool:
    used = measure.effective_used if measure.effective_used is not None else measure.used
    return (used or 0) >= _NEAR_LIMIT_RATIO * (measure.limit or 0)


PID_MAX = Ceiling(
    id="pid-max",
    title="process ids",
    unit="ids",
    scope="host",
    levels=Levels(0.85, 0.95),
    consequence="without a free id no process and no thread can be started by any user: fork() fails with EAGAIN",
    measure=_pid_max,
    evidence=_pid_max_evidence,
    remedies=_pid_max_remedies,
    manual=Manual(
        measurement="Every task, thread or process, holds an id until it is reaped, zombies included; the highest"
        " id is kernel.pid_max - 1. Ids below 300 are allocated only while the machine starts, so a machine that"
        " has run for long stops up to 299 tasks earlier. /proc/loadavg has the number of tasks, in a container"
        " too. An id that only a process group or a session still uses is in use but not counted.",
        symptoms=(
            "fork(), clone() and pthread_create() fail with EAGAIN, for root too; no counter moves and the kernel"
            " logs nothing",
            "a shell reports `fork: retry: Resource temporarily unavailable`; ssh and ps fail as well",
        ),
        raise_now="sysctl -w kernel.pid_max=4194304 takes effect at once.",
        cost="Nothing until the ids are used; old programs may print ids of more than five digits badly.",
        misconceptions=(PID_NAMESPACE, THREADS_32K),
        sysctls=(PID_KEY,),
        source="kernel/pid.c, alloc_pid()",
    ),
)

THREADS_MAX = Ceiling(
    id="threads-max",
    title="tasks of the host",
    unit="tasks",
    scope="host",
    levels=Levels(0.85, 0.95),
    consequence="at the limit no process and no thread can be started: fork() fails with EAGAIN",
    measure=_threads_max,
    evidence=_threads_max_evidence,
    remedies=_threads_max_remedies,
    manual=Manual(
        measurement="All tasks of the host, in every namespace and of every user; /proc/loadavg has the number,"
        " in a container too.",
        symptoms=("fork(), clone() and pthread_create() fail with EAGAIN, for root too; no counter moves",),
        raise_now="sysctl -w kernel.threads-max=N takes effect at once; kernel.pid_max must be as high.",
        cost="About 28 kB of kernel memory for each task that then exists. The default lets the kernel stacks"
        " take an eighth of the memory.",
        misconceptions=(
            "kernel.threads-max does not limit one process: a single process stops at vm.max_map_count, at"
            " RLIMIT_NPROC of its user, or at pids.max of its cgroup.",
            STACK_MEMORY,
        ),
        sysctls=(THREADS_KEY, PID_KEY),
        source="kernel/fork.c, copy_process()",
    ),
)
