"""Memory maps of a process (vm.max_map_count): the limit of servers with one thread for each connection."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.measuring import nearly_all_read, sysctl_number, unknown_measure, unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.format import plural
from sockmon.misconceptions import THREADS_32K
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import ProcessMaps

MAX_MAP_COUNT = "vm.max_map_count"
UNUSUAL_LIMIT = 1 << 20
"""A limit from which on the process is examined first: few programs need so many maps."""
_THREAD_SHARE = 0.5
"""Share of the maps that threads account for, from which on they are the cause."""


def _memory_maps(window: Window) -> Iterator[Measure]:
    now = window.now
    limit = sysctl_number(now.sysctls, MAX_MAP_COUNT)
    if now.maps is None or limit is None:
        yield unread_measure(now.host.name, window.missing("maps" if limit is not None else MAX_MAP_COUNT))
        return
    for row in now.maps.rows:
        yield Measure(
            process_label(row),
            row.maps,
            limit,
            hit=_is_full(row, limit),
            at=now.maps.at,
            query=ProcessQuery(row.pid, row.start),
            name=row.name,
            payload=row,
        )
    if not nearly_all_read(now.maps.counted, now.maps.unseen):
        unread = plural(now.maps.unseen, "process")
        reason = f"memory maps of {unread} {_required_privilege(now.host.uid)}"
        yield unknown_measure(unread, reason, window.missing("maps"))


def _required_privilege(uid: int) -> str:
    # Root meets processes that have more capabilities than it has.
    return "need capabilities that sockmon does not have" if uid == 0 else "of other users need root"


def _change_key(window: Window) -> object:
    now = window.now
    return (now.maps.at, now.maps.unseen, now.sysctls.get(MAX_MAP_COUNT)) if now.maps else object()


def _row(measure: Measure) -> ProcessMaps:
    assert isinstance(measure.payload, ProcessMaps)
    return measure.payload


def _is_full(row: ProcessMaps, limit: int) -> bool:
    """Return whether no map is left. A thread needs two, and glibc frees the first if the second is refused: the
    number then stays one below the limit."""
    return row.maps >= limit - (1 if row.threads > 1 else 0)


def _threads_dominate(row: ProcessMaps) -> bool:
    return 2 * row.threads >= _THREAD_SHARE * row.maps and row.threads > 1


def _evidence(window: Window, measure: Measure) -> list[str]:
    row = _row(measure)
    lines = [f"{row.maps:,} memory maps, {MAX_MAP_COUNT} {measure.limit:,}"]
    if _threads_dominate(row):
        lines.append(
            f"{row.threads:,} threads, each with a stack and usually a guard page: {2 * row.threads:,} maps"
        )
    if measure.hit:
        lines.append("mmap() and mprotect() fail with ENOMEM (12), pthread_create() fails with EAGAIN (11)")
        lines.append("fork() still works: at a limit of tasks or process ids it would fail too")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    row, limit = _row(measure), measure.limit or 0
    if _threads_dominate(row):
        fewer = f"reduce the {row.threads:,} threads of {row.name}: a pool or an event loop needs far fewer"
    else:
        fewer = f"check what {row.name} maps: arenas of its allocator, files mapped one by one, a leak"
    wanted = max(next_limit(limit, 4), 1 << 18)
    higher = "takes effect at once, also for running processes; ulimit -u, pid_max and TasksMax= would not help"
    sysctl = Remedy("sysctl", MAX_MAP_COUNT, str(wanted), higher)
    return [application(fewer), sysctl] if limit >= UNUSUAL_LIMIT else [sysctl, application(fewer)]


MEMORY_MAPS = Ceiling(
    id="memory-maps",
    title="memory maps",
    unit="maps",
    scope="process",
    from_processes=True,
    levels=Levels(0.80, 0.95),
    consequence="at the limit mmap() fails with ENOMEM and no thread can be started, while fork() still works",
    measure=_memory_maps,
    evidence=_evidence,
    remedies=_remedies,
    change_key=_change_key,
    manual=Manual(
        measurement="Every separate region of a process's address space: files, libraries, heaps, and for each"
        " thread a stack and usually a guard page below it. They are the lines of /proc/PID/maps without"
        " [vsyscall]; all threads of a process share one count.",
        symptoms=(
            "mmap(), and malloc() of a large block, fail with ENOMEM (12)",
            "pthread_create() fails with EAGAIN (11), because it cannot map the stack; Java reports `unable to"
            " create native thread`",
            "fork() still works, and so does every other process; no counter moves and the kernel logs nothing",
            "the threads of one process stop near 32,700 with the default of 65,530: half of it, less the maps of"
            " the program itself",
        ),
        raise_now="sysctl -w vm.max_map_count=262144: the next mmap() of any running process can use it.",
        cost="192 bytes of kernel memory for each map in use; a higher limit alone costs nothing.",
        misconceptions=(
            THREADS_32K,
            "More memory does not help: this ENOMEM reports that the maps are used up.",
            "ulimit -u and TasksMax= limit tasks, not maps.",
        ),
        sysctls=(MAX_MAP_COUNT,),
        source="mm/mmap.c, mm/vma.c; Documentation/admin-guide/sysctl/vm.rst",
    ),
)
