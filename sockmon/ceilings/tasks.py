"""Tasks of the whole host: their ids (kernel.pid_max) and their number (kernel.threads-max)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, raised, unknown
from sockmon.ceilings.eagain import FAILS, largest, other_causes
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Tasks

PID_KEY, THREADS_KEY = "kernel.pid_max", "kernel.threads-max"
MOST_IDS = 4_194_304
"""PID_MAX_LIMIT of a 64-bit kernel, include/linux/threads.h."""
MOST_THREADS = 0x3FFFFFFF
"""FUTEX_TID_MASK, to which kernel/fork.c clamps threads-max."""
RESERVED = 300
"""RESERVED_PIDS, kernel/pid.c."""
HIDDEN = "kernel.pid_max of the host, which applies too, is not visible from inside this pid namespace"
_PER_NAMESPACE = (6, 14)
"""Linux from which on kernel.pid_max belongs to a pid namespace."""
_NEAR = 0.85


def _pid_max(window: Window) -> Iterator[Measure]:
    host, tasks = window.now.host, window.now.tasks
    if tasks is None:
        yield unknown(host.name, window.why_missing("loadavg", PID_KEY))
        return
    if tasks.initial or _release(host.kernel) < _PER_NAMESPACE:
        yield _ids(host.name, tasks, tasks.total)
        return
    processes = window.now.processes
    if processes is not None:
        seen = sum(row.threads for row in processes.rows)
        yield _ids(f"pid:[{tasks.namespace}]", tasks, seen)
    yield unknown(host.name, HIDDEN)


def _ids(subject: str, tasks: Tasks, used: int) -> Measure:
    # Id 0 is never given out, and of those below 300 none a second time.
    gone = RESERVED - tasks.low if tasks.low is not None else 1
    return Measure(subject, used, tasks.pid_max, pressing=used + gone, about=tasks)


def _release(kernel: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else _PER_NAMESPACE


def _pid_max_evidence(window: Window, measure: Measure) -> list[str]:
    tasks = measure.about
    assert isinstance(tasks, Tasks)
    where = "on the host" if measure.subject == window.now.host.name else "seen in this pid namespace"
    lines = [f"{measure.used:,} {'task' if measure.used == 1 else 'tasks'} {where}, {PID_KEY} {measure.limit:,}"]
    if tasks.low is not None:
        last = f", the last id given out is {tasks.last_pid:,}" if tasks.last_pid else ""
        lost = RESERVED - 1 - tasks.low
        if lost:
            lines.append(f"{lost} ids below {RESERVED} are free but never given out again{last}")
    if _near(measure):
        lines += [f"without a free id {FAILS}; no counter and no log line tells", *largest(window)]
        lines += other_causes(window, "pid-max")
    return lines


def _pid_max_remedies(window: Window, measure: Measure) -> list[Remedy]:
    limit = measure.limit or 0
    application = _fewer_threads(window)
    if limit >= MOST_IDS:
        return [application]
    wanted = min(raised(limit, 4), MOST_IDS)
    tasks = window.now.tasks
    also = (
        f"; then {THREADS_KEY}, now {tasks.threads_max:,}, binds" if tasks and tasks.threads_max < wanted else ""
    )
    return [
        Remedy(
            "sysctl", PID_KEY, str(wanted), f"raise {PID_KEY} to {wanted:,}: acts at once, costs nothing{also}"
        ),
        application,
    ]


def _fewer_threads(window: Window) -> Remedy:
    rows = window.now.processes.rows if window.now.processes else ()
    most = max(rows, key=lambda row: row.threads, default=None)
    who = f"{most.name}[{most.pid}] with {most.threads:,} of them" if most else "who has the most"
    return Remedy("application", None, None, f"use fewer tasks: look at {who}; a pool instead of one a connection")


def _threads_max(window: Window) -> Iterator[Measure]:
    host, tasks = window.now.host.name, window.now.tasks
    if tasks is None:
        yield unknown(host, window.why_missing("loadavg", THREADS_KEY))
    else:
        yield Measure(host, tasks.total, tasks.threads_max)


def _threads_max_evidence(window: Window, measure: Measure) -> list[str]:
    lines = [f"{measure.used:,} tasks on the host, {THREADS_KEY} {measure.limit:,}"]
    if _near(measure):
        lines += [f"at the limit {FAILS}, for root too", *largest(window), *other_causes(window, "threads-max")]
    return lines


def _threads_max_remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = min(raised(measure.limit or 0), MOST_THREADS)
    text = f"raise {THREADS_KEY} to {wanted:,}: acts at once; each task takes some 28 kB of kernel memory"
    tasks = window.now.tasks
    if tasks and tasks.initial and tasks.pid_max < wanted:
        text += f"; {PID_KEY}, now {tasks.pid_max:,}, must grow with it"
    return [Remedy("sysctl", THREADS_KEY, str(wanted), text), _fewer_threads(window)]


def _near(measure: Measure) -> bool:
    pressing = measure.pressing if measure.pressing is not None else measure.used
    return (pressing or 0) >= _NEAR * (measure.limit or 0)


PID_MAX = Ceiling(
    id="pid-max",
    title="process ids",
    unit="ids",
    scope="host",
    levels=Levels(0.85, 0.95),
    what="without a free id no process and no thread can be started, by anyone: fork() fails with EAGAIN",
    measure=_pid_max,
    evidence=_pid_max_evidence,
    remedies=_pid_max_remedies,
    words=Words(
        counted="Every task, thread or process, takes an id until it is reaped, zombies included; ids run up to"
        " kernel.pid_max - 1. Ids below 300 are given out only while the machine starts, so that a machine that"
        " has run for long stops up to 299 tasks earlier. /proc/loadavg has the number of tasks, in a container"
        " too. An id that is left only as the name of a process group or session is taken but not counted.",
        shows=(
            "fork(), clone() and pthread_create() fail with EAGAIN, as root too; no counter moves, nothing is"
            " logged",
            "a shell says `fork: retry: Resource temporarily unavailable`; ssh and ps fail as well",
        ),
        live="sysctl -w kernel.pid_max=4194304 acts at once.",
        lasting="A file in /etc/sysctl.d.",
        costs="Nothing until the ids are used; old programs may print more than five digits badly.",
        myths=(
            "From Linux 6.14 on every pid namespace has a kernel.pid_max of its own, and those above it apply as"
            " well: the 4194304 that a container shows says nothing about the host's.",
            "32,768 is not a limit of connections: it is the number of ids, and only one thread or process a"
            " connection makes it one.",
        ),
        keys=(PID_KEY,),
        source="kernel/pid.c, alloc_pid()",
    ),
)

THREADS_MAX = Ceiling(
    id="threads-max",
    title="tasks of the host",
    unit="tasks",
    scope="host",
    levels=Levels(0.85, 0.95),
    what="at the limit no process and no thread can be started: fork() fails with EAGAIN",
    measure=_threads_max,
    evidence=_threads_max_evidence,
    remedies=_threads_max_remedies,
    words=Words(
        counted="All tasks of the host, in every namespace and of every user; /proc/loadavg has the number, in a"
        " container too. The limit is for the whole host.",
        shows=("fork(), clone() and pthread_create() fail with EAGAIN, as root too; no counter moves",),
        live="sysctl -w kernel.threads-max=N acts at once; kernel.pid_max has to be as high.",
        lasting="A file in /etc/sysctl.d.",
        costs="About 28 kB of kernel memory for each task that then exists. The default lets the kernel stacks"
        " take an eighth of the memory.",
        myths=(
            "It is not a limit of one process: what a single process stops at is vm.max_map_count, its user's"
            " RLIMIT_NPROC, or pids.max of its cgroup.",
        ),
        keys=(THREADS_KEY, PID_KEY),
        source="kernel/fork.c, copy_process()",
    ),
)
