"""Memory maps of a process (vm.max_map_count): where servers with a thread per connection end."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, nearly_all, number, raised, unknown
from sockmon.model.detail import ProcessFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import ProcessMaps, Snapshot

MAX_MAP_COUNT = "vm.max_map_count"
GENEROUS = 1 << 20
"""A limit beyond which a process that needs more is the riddle."""
_THREADED = 0.5  # share of the maps that threads explain, from which on they are the cause


def _memory_maps(window: Window) -> Iterator[Measure]:
    now = window.now
    limit = number(now.sysctls, MAX_MAP_COUNT)
    if now.maps is None or limit is None:
        yield unknown(now.host.name, window.why_missing("maps" if limit is not None else MAX_MAP_COUNT))
        return
    for row in now.maps.rows:
        yield Measure(
            f"{row.name}[{row.pid}]",
            row.maps,
            limit,
            hit=_is_full(row, limit),
            at=now.maps.at,
            focus=ProcessFocus(row.pid, row.start),
            about=row,
        )
    if not nearly_all(now.maps.counted, now.maps.unseen):
        who = "1 process" if now.maps.unseen == 1 else f"{now.maps.unseen:,} processes"
        yield unknown(who, f"memory maps of {who} {_need(now.host.uid)}")


def _need(uid: int) -> str:
    """What it would take to see those of others; root meets processes with more capabilities than it has."""
    return "need capabilities that sockmon was not given" if uid == 0 else "of other users need root"


def _as_of(now: Snapshot) -> object:
    return (now.maps.at, now.maps.unseen, now.sysctls.get(MAX_MAP_COUNT)) if now.maps else object()


def _row(measure: Measure) -> ProcessMaps:
    assert isinstance(measure.about, ProcessMaps)
    return measure.about


def _is_full(row: ProcessMaps, limit: int) -> bool:
    """A thread needs two maps, and glibc gives the first back where the second is refused: the number stays at the
    limit or next to it."""
    return row.maps >= limit - (1 if row.threads > 1 else 0)


def _by_threads(row: ProcessMaps) -> bool:
    return 2 * row.threads >= _THREADED * row.maps and row.threads > 1


def _evidence(window: Window, measure: Measure) -> list[str]:
    row = _row(measure)
    lines = [f"{row.maps:,} memory maps, {MAX_MAP_COUNT} {measure.limit:,}"]
    if _by_threads(row):
        lines.append(
            f"{row.threads:,} threads, each with a stack and mostly a guard page: {2 * row.threads:,} maps"
        )
    if measure.hit:
        lines.append("mmap() or mprotect() fails with ENOMEM (12), pthread_create() with EAGAIN (11)")
        lines.append("fork() still works: that tells it from a limit of tasks or of pids, where it fails too")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    row, limit = _row(measure), measure.limit or 0
    if _by_threads(row):
        text = f"{row.name} runs {row.threads:,} threads: a pool or an event loop needs far fewer"
    else:
        text = f"find out what {row.name} maps: its allocator's arenas, files mapped one by one, a leak"
    application = Remedy("application", None, None, text)
    wanted = max(raised(limit, 4), 1 << 18)
    sysctl = Remedy(
        "sysctl",
        MAX_MAP_COUNT,
        str(wanted),
        f"raise {MAX_MAP_COUNT} to {wanted:,}: it acts at once, also for running processes;"
        " ulimit -u, pid_max and TasksMax= would not help",
    )
    return [application, sysctl] if limit >= GENEROUS else [sysctl, application]


MEMORY_MAPS = Ceiling(
    id="memory-maps",
    title="memory maps",
    unit="maps",
    scope="process",
    levels=Levels(0.80, 0.95),
    what="at the limit mmap() fails with ENOMEM and no thread can be started, while fork() still works",
    measure=_memory_maps,
    evidence=_evidence,
    remedies=_remedies,
    as_of=_as_of,
    words=Words(
        counted="Every separate stretch of a process's address space: files, libraries, heaps, and for each thread"
        " a stack and mostly a guard page below it. They are the lines of /proc/PID/maps without [vsyscall]; all"
        " threads of a process share one count.",
        shows=(
            "mmap(), and malloc() of something large, fail with ENOMEM (12)",
            "pthread_create() fails with EAGAIN (11), because it cannot map the stack: Java says that it is unable"
            " to create a native thread",
            "fork() goes on working, and so does every other process; nothing is counted or logged",
            "threads end near 32,7xx with the default of 65,530: half of it, less what the program maps itself",
        ),
        live="sysctl -w vm.max_map_count=262144: the next mmap() of any running process may use it.",
        lasting="vm.max_map_count=262144 in a file of /etc/sysctl.d.",
        costs="192 bytes of kernel memory for each map that is really made; a higher limit alone costs nothing.",
        myths=(
            "a plateau of threads near 32,7xx is not always kernel.pid_max with its 32,768: where fork() still"
            " works it is this one",
            "more memory does not help: ENOMEM here says that the maps are used up",
            "ulimit -u and TasksMax= count tasks, not maps",
        ),
        keys=(MAX_MAP_COUNT,),
        source="mm/mmap.c, mm/vma.c; Documentation/admin-guide/sysctl/vm.rst",
    ),
)
