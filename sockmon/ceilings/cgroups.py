"""Limits of a cgroup: its tasks (pids.max) and its memory (memory.max); those of every ancestor apply as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import delta, process_label
from sockmon.ceilings.fork_limits import FORK_FAILS, other_causes, same_name
from sockmon.ceilings.measuring import unknown_measure, unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.format import megabytes, plural
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import HIDDEN_ANCESTORS, Cgroups, MemoryCgroup, PidsCgroup, Process

REFUSED, KILLED = "pids.events", "oom_kill"
ANCESTORS_HIDDEN = "cgroups above the cgroup namespace may have limits too, which are not visible"
NO_LIMIT = "no visible cgroup has a limit of {}"
_FULL_RATIO = 0.9
"""Fullness from which on a cgroup whose forks were refused counts as the one that refused them."""


def _without_groups(window: Window, controller: str) -> Measure:
    """Return the Measure if no cgroup is known: none has a limit, or the limits could not be read."""
    host, found = window.now.host.name, window.now.cgroups
    if found is None:
        return unread_measure(host, window.missing("cgroups"))
    missing = {item.part: item for item in window.now.missing if item.reader == "cgroups"}
    if item := missing.get(controller):
        return unknown_measure(host, item.reason, item)
    if found.hidden:
        return unknown_measure(host, ANCESTORS_HIDDEN, missing.get(HIDDEN_ANCESTORS))
    # An older recording does not say which controller it is.
    item = missing.get("")
    return unknown_measure(host, item.reason, item) if item else Measure(host, None, None, at=found.at)


def _change_key(window: Window) -> object:
    now = window.now
    return (now.cgroups.at, now.missing) if now.cgroups else object()


def _delta(window: Window, counter: str, path: str) -> int:
    return max(window.deltas.get(f"{counter} {path}", 0), 0)


def _processes(window: Window) -> dict[str, Process]:
    """Return every process by its label, as a cgroup names its process with the most tasks."""
    rows = window.now.processes.rows if window.now.processes else ()
    return {process_label(row): row for row in rows}


def _query(process: Process | None) -> ProcessQuery | None:
    return ProcessQuery(process.pid, process.start) if process else None


def _pids(window: Window) -> Iterator[Measure]:
    found = window.now.cgroups
    if found is None or not found.pids:
        yield _without_groups(window, "pids")
        return
    refused = (group for group in found.pids if _delta(window, REFUSED, group.path))
    refusing = {_limiting_group(group, found.pids).path for group in refused}
    processes = _processes(window)
    for group in found.pids:
        yield Measure(
            group.path,
            group.current,
            group.maximum,
            hit=group.path in refusing,
            at=found.at,
            query=_query(processes.get(group.name)),
            payload=group,
        )


def _limiting_group(counted: PidsCgroup, groups: Iterable[PidsCgroup]) -> PidsCgroup:
    """Return the group whose limit refused what `counted` has counted: before Linux 6.11 a group counts the forks
    of its own tasks, also those that an ancestor refused."""
    if _fullness(counted) >= _FULL_RATIO:
        return counted
    return max((group for group in groups if _contains(group.path, counted.path)), key=_fullness)


def _contains(path: str, other: str) -> bool:
    return f"{other}/".startswith(f"{path.rstrip('/')}/")


def _fullness(group: PidsCgroup) -> float:
    return group.current / max(group.maximum, 1)


def _members(group: PidsCgroup | MemoryCgroup, threads: int | None) -> list[str]:
    """Return how many processes the group has; `threads` is the number of its process with the most."""
    if not group.processes:
        return []
    named = f"including {group.name}" if threads is None else f"most tasks: {group.name} {threads:,}"
    if isinstance(group, PidsCgroup) and (several := _several(group, threads)):
        named = f"most tasks: {several} {group.common_tasks:,}"
    return [f"{plural(group.processes, 'process', 'processes')} in it and below, {named}"]


def _several(group: PidsCgroup, threads: int | None) -> str | None:
    """Return the processes of one name that together have more tasks than the process with the most."""
    if group.common_processes < 2 or group.common_tasks <= (threads or 0):
        return None
    return same_name(group.common_processes, group.common_name)


def _pids_evidence(window: Window, measure: Measure) -> list[str]:
    group = measure.payload
    if not isinstance(group, PidsCgroup):
        return [NO_LIMIT.format("tasks (pids.max)")]
    largest = _processes(window).get(group.name)
    lines = [
        f"pids.current {group.current:,}, pids.max {group.maximum:,} of cgroup {group.path}",
        *_refusals(window, group),
        *_members(group, largest.threads if largest else None),
    ]
    full = group.current >= group.maximum
    if measure.hit or full:
        fails = FORK_FAILS if full else f"while it was full {FORK_FAILS.replace(' fail ', ' failed ')}"
        lines.append(f"{fails} inside, for root too; a higher ulimit -u or kernel.pid_max would not help")
        lines += other_causes(window, "cgroup-pids")
    return lines + _ancestors_hidden(window.now.cgroups)


def _refusals(window: Window, group: PidsCgroup) -> list[str]:
    """Return the forks that were refused in the window, and where they were counted."""
    groups = window.now.cgroups.pids if window.now.cgroups else ()
    lines = []
    for other in groups:
        step = _delta(window, REFUSED, other.path)
        if step and _contains(group.path, other.path) and _limiting_group(other, groups).path == group.path:
            where = "" if other.path == group.path else f" (counted in {other.path})"
            lines.append(f"pids.events max {delta(window, step)}: forks were refused{where}")
    if not lines and _delta(window, REFUSED, group.path):
        lines.append(
            f"forks inside were refused by the limit of its ancestor {_limiting_group(group, groups).path}"
        )
    elif not lines and group.refused:
        lines.append(f"pids.events max {group.refused:,} in total, unchanged in this window")
    return lines


def _ancestors_hidden(cgroups: Cgroups | None) -> list[str]:
    return [ANCESTORS_HIDDEN] if cgroups and cgroups.hidden else []


def _pids_remedies(window: Window, measure: Measure) -> list[Remedy]:
    group = measure.payload
    if not isinstance(group, PidsCgroup):
        return []
    wanted = next_limit(max(group.maximum, group.current, 16))
    largest = _processes(window).get(group.name)
    name = f"{group.name} ({plural(largest.threads, 'task')})" if largest else group.name or "the service"
    several = _several(group, largest.threads if largest else None)
    advice = f"check whether all {several} are needed" if several else f"limit the threads or workers of {name}"
    higher = (
        f"raise pids.max of {group.path} to {wanted:,}: takes effect at once; to persist it, set TasksMax= in the"
        " systemd unit, --pids-limit of the container or podPidsLimit of the kubelet"
    )
    return [
        Remedy("cgroup", "pids.max", str(wanted), higher, cgroup=group.path),
        application(f"{advice}: if they grow without end, a higher limit only buys time"),
    ]


def _memory(window: Window) -> Iterator[Measure]:
    found = window.now.cgroups
    if found is None or not found.memory:
        yield _without_groups(window, "memory")
        return
    processes = _processes(window)
    for group in found.memory:
        yield Measure(
            group.path,
            group.current,
            group.maximum,
            effective_used=max(group.current - group.reclaimable, 0),
            hit=_delta(window, KILLED, group.path) > 0,
            at=found.at,
            query=_query(processes.get(group.name)),
            payload=group,
        )


def _memory_evidence(window: Window, measure: Measure) -> list[str]:
    group = measure.payload
    if not isinstance(group, MemoryCgroup):
        return [NO_LIMIT.format("memory (memory.max)")]
    lines = [
        f"{megabytes(group.current)} of {megabytes(group.maximum)} in cgroup {group.path}, of which"
        f" {megabytes(group.reclaimable)} are page cache and slab that can be reclaimed"
    ]
    if group.sockets:
        lines.append(f"{megabytes(group.sockets)} of it are socket buffers (memory.stat sock)")
    if step := _delta(window, KILLED, group.path):
        lines.append(f"oom_kill {delta(window, step)}: the kernel killed processes inside with SIGKILL")
    elif group.oom_kills:
        lines.append(f"oom_kill {group.oom_kills:,} in total, unchanged in this window")
    return [*lines, *_members(group, None), *_ancestors_hidden(window.now.cgroups)]


def _memory_remedies(window: Window, measure: Measure) -> list[Remedy]:
    group = measure.payload
    if not isinstance(group, MemoryCgroup):
        return []
    wanted = next_limit(max(group.maximum, 1 << 20))
    higher = (
        f"raise memory.max (v1: memory.limit_in_bytes) of {group.path} to {megabytes(wanted)}: takes effect at"
        " once; to persist it, set MemoryMax= in the systemd unit, --memory of the container or limits.memory of"
        " the pod"
    )
    text = "check what grows inside: if it grows without end, a higher limit only buys time"
    if (group.sockets or 0) > group.current // 4:
        text = "find the sockets with long queues: their buffers are much of it; net.ipv4.tcp_mem would not help"
    return [Remedy("cgroup", "memory.max", str(wanted), higher, cgroup=group.path), application(text)]


CGROUP_PIDS = Ceiling(
    id="cgroup-pids",
    title="tasks of a cgroup",
    unit="tasks",
    scope="cgroup",
    from_processes=True,
    levels=Levels(0.80, 0.95),
    consequence="at the limit no process or thread can be started inside: fork() fails with EAGAIN, for root too",
    measure=_pids,
    evidence=_pids_evidence,
    remedies=_pids_remedies,
    hit_counters=(REFUSED,),
    needs_movement=True,
    change_key=_change_key,
    manual=Manual(
        measurement="The processes and threads of the cgroup and of all cgroups below it, zombies included:"
        " pids.current. A task counts for every ancestor, and each ancestor's pids.max applies. pids.events"
        " counts refused forks: since Linux 6.11, with cgroup v2, in the cgroup whose limit it was; before that,"
        " and with v1, in the cgroup of the task that called fork().",
        symptoms=(
            "fork(), clone() and pthread_create() fail with EAGAIN inside the cgroup, for root too",
            "`max` in pids.events increases by one for each refused fork",
            "the kernel logs `cgroup: fork rejected by pids controller in PATH`, the first time only",
        ),
        raise_now="Write the new limit to pids.max of the cgroup, or run systemctl set-property X.service"
        " TasksMax=N.",
        persist="Set TasksMax= in the unit, --pids-limit of the container or podPidsLimit of the kubelet.",
        cost="Nothing by itself; the tasks take process ids and memory of the host.",
        misconceptions=(
            "ulimit -u, kernel.pid_max and kernel.threads-max are other limits that fail in the same way: raising"
            " them does not help here.",
            "systemd's DefaultTasksMax is not a fixed number: it is 15 % of the smallest of kernel.pid_max,"
            " kernel.threads-max and the limit of the root cgroup, 4,915 if pid_max is 32,768.",
        ),
        source="kernel/cgroup/pids.c",
    ),
)

CGROUP_MEMORY = Ceiling(
    id="cgroup-memory",
    title="memory of a cgroup",
    unit="bytes",
    scope="cgroup",
    from_processes=True,
    levels=Levels(0.85, 0.95),
    consequence="at the limit, if no memory can be reclaimed, the kernel kills a process of the cgroup",
    measure=_memory,
    evidence=_memory_evidence,
    remedies=_memory_remedies,
    hit_counters=(KILLED,),
    needs_movement=True,
    change_key=_change_key,
    manual=Manual(
        measurement="The memory of the processes inside, their page cache, and what the kernel holds for them:"
        " sockets, their buffers (with v2), files and stacks. Page cache and reclaimable slab are reclaimed"
        " before a process is killed: they are counted, but raise no alarm. The limits of all ancestors apply.",
        symptoms=(
            "a process disappears with SIGKILL while the host has free memory; `oom_kill` in memory.events moves",
            "the kernel logs `Memory cgroup out of memory: Killed process`",
        ),
        raise_now="Write the new limit to memory.max of the cgroup, or run systemctl set-property X.service"
        " MemoryMax=N.",
        persist="Set MemoryMax= in the unit, --memory of the container or limits.memory of the pod.",
        cost="The memory that the cgroup can then take from the host.",
        misconceptions=("A cgroup at its limit is not in trouble if page cache fills it.",),
        source="mm/memcontrol.c",
    ),
)
