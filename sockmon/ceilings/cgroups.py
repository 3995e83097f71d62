"""Limits of a cgroup: its tasks (pids.max) and its memory (memory.max); those of every ancestor apply as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, raised, unknown
from sockmon.ceilings.eagain import FAILS, other_causes
from sockmon.ceilings.files import subject
from sockmon.model.detail import ProcessFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Cgroups, MemoryCgroup, PidsCgroup, Process, Snapshot

REFUSED, KILLED = "pids.events", "oom_kill"
HIDDEN = "groups above the cgroup namespace may have limits too, which are not shown here"
UNLIMITED = "no cgroup of the processes that are seen, and none above them, has a limit of {}"
_SURE = 0.9
"""From this fullness on a group whose forks were refused is taken to be the one that refused them."""


def _none(window: Window, controller: str) -> Measure:
    """What stands for the groups where none is told: none has a limit, or that could not be seen."""
    host, found = window.now.host.name, window.now.cgroups
    if found is None:
        return unknown(host, window.why_missing("cgroups"))
    for item in window.now.missing:
        if item.reader == "cgroups" and f"with {controller} " in item.reason:
            return unknown(host, item.reason)
    return unknown(host, HIDDEN) if found.hidden else Measure(host, None, None, at=found.at)


def _as_of(now: Snapshot) -> object:
    return (now.cgroups.at, now.missing) if now.cgroups else object()


def _moved(window: Window, counter: str, path: str) -> int:
    return max(window.moved.get(f"{counter} {path}", 0), 0)


def _pids(window: Window) -> Iterator[Measure]:
    found = window.now.cgroups
    if found is None or not found.pids:
        yield _none(window, "pids")
        return
    refusing = {_refuser(group, found.pids).path for group in found.pids if _moved(window, REFUSED, group.path)}
    focuses = _focuses(window)
    for group in found.pids:
        hit = group.path in refusing
        focus = focuses.get(group.name)
        yield Measure(group.path, group.current, group.maximum, hit=hit, at=found.at, focus=focus, about=group)


def _refuser(counted: PidsCgroup, groups: Iterable[PidsCgroup]) -> PidsCgroup:
    """Whose limit refused what `counted` has counted: before Linux 6.11 a group counts the forks of its own tasks,
    also those that an ancestor refused."""
    if _fullness(counted) >= _SURE:
        return counted
    return max((group for group in groups if _contains(group.path, counted.path)), key=_fullness)


def _contains(path: str, other: str) -> bool:
    return f"{other}/".startswith(f"{path.rstrip('/')}/")


def _fullness(group: PidsCgroup) -> float:
    return group.current / max(group.maximum, 1)


def _largest(window: Window, name: str) -> Process | None:
    rows = window.now.processes.rows if window.now.processes else ()
    return next((row for row in rows if subject(row) == name), None)


def _focuses(window: Window) -> dict[str, ProcessFocus]:
    """Every process by the name that a group calls it: what opens is the one inside that has the most tasks."""
    rows = window.now.processes.rows if window.now.processes else ()
    return {subject(row): ProcessFocus(row.pid, row.start) for row in rows}


def _inside(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes:,} processes"


def _pids_evidence(window: Window, measure: Measure) -> list[str]:
    group = measure.about
    if not isinstance(group, PidsCgroup):
        return [UNLIMITED.format("tasks (pids.max)")]
    lines = [f"pids.current {group.current:,}, pids.max {group.maximum:,} of cgroup {group.path}"]
    lines += _refusals(window, group)
    if group.processes:
        who = _largest(window, group.name)
        threads = f", most tasks: {group.name} {who.threads:,}" if who else f", {group.name} among them"
        lines.append(f"{_inside(group.processes)} in it and below{threads}")
    if measure.hit or group.current >= group.maximum:
        when = "" if group.current >= group.maximum else "while it was full "
        fails = FAILS if not when else FAILS.replace(" fail ", " failed ")
        lines.append(f"{when}{fails} inside, for root too: a higher ulimit -u or kernel.pid_max would not help")
        lines += other_causes(window, "cgroup-pids")
    return lines + _hidden(window.now.cgroups)


def _refusals(window: Window, group: PidsCgroup) -> list[str]:
    """Refused forks in the window, and where they were counted."""
    groups = window.now.cgroups.pids if window.now.cgroups else ()
    lines = []
    for other in groups:
        step = _moved(window, REFUSED, other.path)
        if step and _contains(group.path, other.path) and _refuser(other, groups).path == group.path:
            where = "" if other.path == group.path else f" (counted in {other.path})"
            lines.append(f"pids.events max +{step:,} in {max(window.seconds, 1):.0f} s: forks refused{where}")
    if not lines and _moved(window, REFUSED, group.path):
        lines.append(f"forks inside were refused by the limit of {_refuser(group, groups).path}, above it")
    elif not lines and group.refused:
        lines.append(f"pids.events max {group.refused:,} so far, none of them in this window")
    return lines


def _hidden(cgroups: Cgroups | None) -> list[str]:
    return [HIDDEN] if cgroups and cgroups.hidden else []


def _pids_remedies(window: Window, measure: Measure) -> list[Remedy]:
    group = measure.about
    if not isinstance(group, PidsCgroup):
        return []
    wanted = raised(max(group.maximum, group.current, 16))
    who = _largest(window, group.name)
    name = f"{group.name} with {who.threads:,} tasks" if who else group.name or "the service"
    return [
        Remedy(
            "cgroup",
            "pids.max",
            str(wanted),
            f"raise pids.max of {group.path} to {wanted:,}: acts at once; to last: TasksMax= in the systemd unit,"
            " --pids-limit of the container, podPidsLimit of the kubelet",
        ),
        Remedy(
            "application",
            None,
            None,
            f"bound the threads or workers of {name}: where they grow without end, a higher limit only postpones"
            " it",
        ),
    ]


def _memory(window: Window) -> Iterator[Measure]:
    found = window.now.cgroups
    if found is None or not found.memory:
        yield _none(window, "memory")
        return
    focuses = _focuses(window)
    for group in found.memory:
        yield Measure(
            group.path,
            group.current,
            group.maximum,
            pressing=max(group.current - group.reclaimable, 0),
            hit=_moved(window, KILLED, group.path) > 0,
            at=found.at,
            focus=focuses.get(group.name),
            about=group,
        )


def _memory_evidence(window: Window, measure: Measure) -> list[str]:
    group = measure.about
    if not isinstance(group, MemoryCgroup):
        return [UNLIMITED.format("memory (memory.max)")]
    lines = [
        f"{_megabytes(group.current)} of {_megabytes(group.maximum)} in cgroup {group.path},"
        f" {_megabytes(group.reclaimable)} of it page cache and slab that can be taken back"
    ]
    if group.sockets:
        lines.append(f"{_megabytes(group.sockets)} of it are socket buffers (memory.stat sock)")
    if step := _moved(window, KILLED, group.path):
        seconds = max(window.seconds, 1)
        lines.append(f"oom_kill +{step:,} in {seconds:.0f} s: the kernel killed processes inside, with SIGKILL")
    elif group.oom_kills:
        lines.append(f"oom_kill {group.oom_kills:,} so far, none of them in this window")
    if group.processes:
        lines.append(f"{_inside(group.processes)} in it and below, {group.name} among them")
    return lines + _hidden(window.now.cgroups)


def _memory_remedies(window: Window, measure: Measure) -> list[Remedy]:
    group = measure.about
    if not isinstance(group, MemoryCgroup):
        return []
    wanted = raised(max(group.maximum, 1 << 20))
    buffers = (group.sockets or 0) > group.current // 4
    return [
        Remedy(
            "cgroup",
            "memory.max",
            str(wanted),
            f"raise memory.max (v1: memory.limit_in_bytes) of {group.path} to {_megabytes(wanted)}: acts at"
            " once; to last: MemoryMax= in the systemd unit, --memory of the container, limits.memory of the pod",
        ),
        Remedy(
            "application",
            None,
            None,
            "find the sockets with long queues: their buffers are much of it, net.ipv4.tcp_mem would not help"
            if buffers
            else "find what grows inside: where it grows without end, a higher limit only postpones it",
        ),
    ]


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


CGROUP_PIDS = Ceiling(
    id="cgroup-pids",
    title="tasks of a cgroup",
    unit="tasks",
    scope="cgroup",
    levels=Levels(0.80, 0.95),
    what="at the limit nothing inside can start a process or a thread: fork() fails with EAGAIN, for root too",
    measure=_pids,
    evidence=_pids_evidence,
    remedies=_pids_remedies,
    proofs=(REFUSED,),
    as_of=_as_of,
    words=Words(
        counted="Processes and threads of the cgroup and of all groups below it, zombies included: pids.current."
        " A task counts for every ancestor, and each ancestor's pids.max applies. pids.events counts refused"
        " forks: since Linux 6.11, with cgroup v2, in the group whose limit it was; before that, and with v1, in"
        " the group of the task that forked.",
        shows=(
            "fork(), clone() and pthread_create() fail with EAGAIN inside the group, for root too",
            "`max` of pids.events moves by one for each refused fork",
            "the first time the kernel logs `cgroup: fork rejected by pids controller in PATH`",
        ),
        live="echo N > pids.max of the group, or systemctl set-property X.service TasksMax=N.",
        lasting="TasksMax= in the unit, --pids-limit of the container, podPidsLimit of the kubelet.",
        costs="Nothing by itself; the tasks take ids and memory of the host.",
        myths=(
            "ulimit -u, kernel.pid_max and kernel.threads-max are other limits that fail in the same way: raising"
            " them changes nothing here.",
            "systemd's DefaultTasksMax is 15 % of the smallest of kernel.pid_max, kernel.threads-max and the root"
            " group's limit: 4,915 where pid_max is 32,768.",
        ),
        source="kernel/cgroup/pids.c",
    ),
)

CGROUP_MEMORY = Ceiling(
    id="cgroup-memory",
    title="memory of a cgroup",
    unit="bytes",
    scope="cgroup",
    levels=Levels(0.85, 0.95),
    what="at the limit, when nothing can be taken back, the kernel kills a process of the cgroup",
    measure=_memory,
    evidence=_memory_evidence,
    remedies=_memory_remedies,
    proofs=(KILLED,),
    as_of=_as_of,
    words=Words(
        counted="Memory of the processes inside, their page cache, and what the kernel holds for them: sockets,"
        " their buffers (with v2), files, stacks. Page cache and reclaimable slab are given back before anything"
        " is killed: they are in the number, but do not press. Limits of all ancestors apply.",
        shows=(
            "a process vanishes with SIGKILL while the host has memory left; `oom_kill` of memory.events moves",
            "the kernel logs `Memory cgroup out of memory: Killed process`",
        ),
        live="echo BYTES > memory.max of the group, or systemctl set-property X.service MemoryMax=N.",
        lasting="MemoryMax= in the unit, --memory of the container, limits.memory of the pod.",
        costs="The memory of the host that it then may take.",
        myths=("A group at its limit is not in trouble when what fills it is page cache.",),
        source="mm/memcontrol.c",
    ),
)
