"""Memory maps of processes, which vm.max_map_count limits: lines of /proc/PID/maps (fs/proc/task_mmu.c).

No file has their number, and writing a line costs the kernel 0.4 µs. So a process is counted again only if it
has run (`cpu_clock`), and its size (/proc/PID/statm, which takes no lock) or its threads changed, or after a
minute, and sooner if it has many.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.fault_log import FAULTS
from sockmon.format import plural
from sockmon.kernel.errnos import NO_FREE_FILE, NO_SUCH_PROCESS
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import aio_rings, proc_files
from sockmon.kernel.processes.aio_rings import Ring
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.read_timeout import ReadHung
from sockmon.model.snapshot import Maps, Missing, Process, ProcessMaps

MAX_ROWS = 20
"""Processes that are listed at most; the others have fewer maps."""
STALE_SECONDS = 60.0
"""Seconds after which a process is counted again although its size is the same: mprotect(2) splits maps."""
IDLE_STALE_SECONDS = 600.0
"""The same for a process that has not run."""
MANY_MAPS, MANY_MAPS_STALE_SECONDS = 1 << 14, 10.0
"""A process with at least so many maps is counted again sooner: a quarter of the default limit."""
SLICE_BYTES = 1 << 16
"""Bytes that are read at once, about 700 lines: 0.3 ms."""
_READ_BYTES = 1 << 14
# The page of x86 that every process shows at the end, which is not a map (arch/x86/entry/vsyscall).
_VSYSCALL = b"ffffffffff600000-"
_SPREAD_SECONDS = 30
_NO_MEMORY = b"0"  # a zombie, or a process whose first thread has exited: the maps of the others are not shown
_ROWS_PER_STEP = 64  # processes in one step of which only the size is read


class _Counted(NamedTuple):
    """The state of a process when it was counted; `maps` is None if its maps cannot be read."""

    start: int
    size: bytes
    threads: int
    at: float
    """The time from which its age is reckoned."""
    maps: int | None
    rings: tuple[Ring, ...]
    cpu_time: int | None
    """Nanoseconds that it had run before it was counted; None: not known."""

    @property
    def valid_seconds(self) -> float:
        """Seconds for which the count is valid while the size does not change."""
        return MANY_MAPS_STALE_SECONDS if (self.maps or 0) >= MANY_MAPS else STALE_SECONDS


class MapCounter:
    """Counts the maps of all processes, again and again. Not for use by two threads."""

    def __init__(self, table: ProcessTable) -> None:
        self.missing: tuple[Missing, ...] = ()
        """What the last complete walk could not read, and why."""
        self._table = table
        self._counted: dict[int, _Counted] = {}
        self._hung: dict[int, int] = {}
        self._faults: Counter[str] = Counter()

    def steps(self, rows: Sequence[Process], at: float) -> Incremental[Maps]:
        """Return the processes of `rows` with the most maps as of `at`, in steps of 64 kB; raise ReadError if no
        thread can be had to read them."""
        self._forget_ended(rows)
        self._faults.clear()
        for number, row in enumerate(rows, 1):
            was_read = row.start != self._hung.get(row.pid) and (yield from self._count_if_changed(row, at))
            if was_read or number % _ROWS_PER_STEP == 0:
                yield
        found = [(row, known.maps) for row in rows if (known := self._counted.get(row.pid))]
        readable = [(row, maps) for row, maps in found if maps is not None]
        readable.sort(key=lambda pair: (-pair[1], pair[0].pid))
        unreadable = len(found) - len(readable)
        with_rings = ((row, known) for row in rows if (known := self._counted.get(row.pid)) and known.rings)
        self.missing = self._missing(unreadable)
        return Maps(
            at=at,
            rows=tuple(
                ProcessMaps(row.pid, row.start, row.name, maps, row.threads) for row, maps in readable[:MAX_ROWS]
            ),
            counted=len(readable),
            unseen=unreadable + self._faults.total(),
            aio=aio_rings.holders((row.pid, row.start, row.name, known.rings) for row, known in with_rings),
        )

    def _forget_ended(self, rows: Sequence[Process]) -> None:
        alive = {row.pid: row.start for row in rows}
        self._counted = {pid: known for pid, known in self._counted.items() if alive.get(pid) == known.start}
        self._hung = {pid: start for pid, start in self._hung.items() if alive.get(pid) == start}

    def _count_if_changed(self, row: Process, at: float) -> Incremental[bool]:
        """Count one process if that is needed; return whether its maps were read."""
        known, cpu_time = self._counted.get(row.pid), self._table.cpu_time(row.pid)
        age = at - known.at if known else 0.0
        if known and known.cpu_time is not None and known.cpu_time == cpu_time and age < IDLE_STALE_SECONDS:
            return False
        try:
            size = self._size(row.pid)
            same = known and (known.size, known.threads) == (size, row.threads)
            if known and same and age < known.valid_seconds:
                return False
            if size == _NO_MEMORY:
                self._counted.pop(row.pid, None)
                return False
            rings: list[Ring] = []
            maps = yield from self._count(row, rings)
        except OSError as error:
            if error.errno in NO_FREE_FILE:
                raise ReadError("maps", f"cannot read /proc/PID/maps: {error.strerror}") from error
            self._counted.pop(row.pid, None)
            if error.errno not in NO_SUCH_PROCESS:
                self._faults[FAULTS.note("maps", error)] += 1
            return True
        except ReadHung:
            self._hung[row.pid] = row.start
            self._counted.pop(row.pid, None)
            return True
        except ReadError:
            raise
        except Exception as error:
            self._counted.pop(row.pid, None)
            self._faults[FAULTS.note("maps", error)] += 1
            return True
        # Spread, so that those that were first counted together are not all due together.
        since = at if known else at - row.pid % _SPREAD_SECONDS
        self._counted[row.pid] = _Counted(row.start, size, row.threads, since, maps, tuple(rings), cpu_time)
        return True

    def _size(self, pid: int) -> bytes:
        try:
            return proc_files.read(f"{pid}/statm", self._table.proc).partition(b" ")[0]
        except PermissionError:
            return b""

    def _count(self, row: Process, rings: list[Ring]) -> Incremental[int | None]:
        try:
            return (yield from count(self._table, row.pid, rings))
        except PermissionError:
            return None

    def _missing(self, unreadable: int) -> tuple[Missing, ...]:
        refused, reasons = [], []
        if unreadable:
            which = f"memory maps of {plural(unreadable, 'process')}"
            reason = unreadable_reason(unreadable, os.geteuid() == 0)
            refused.append(Missing("maps", reason, unjudged=which))
        if self._hung:
            reasons.append(
                f"maps of {plural(len(self._hung), 'process')} are not counted: the memory lock is held"
            )
        reasons += [f"{plural(count, 'process')}: {fault}" for fault, count in self._faults.items()]
        return (*refused, *(Missing("maps", reason) for reason in reasons))


def count(table: ProcessTable, pid: int, rings: list[Ring] | None = None) -> Incremental[int]:
    """Return the number of memory maps of one process, in steps of 64 kB, and add its contexts of asynchronous I/O
    to `rings`; raise OSError as the kernel does, ReadHung if the process holds its memory lock.

    Read with a timeout, because the kernel takes that lock. A read that does not return keeps its descriptor: if
    it were closed, the number could be another file's when it returns."""
    if table.hangs(pid):
        raise ReadHung("maps", "the process holds its memory lock")
    descriptor = os.open(f"{pid}/maps", os.O_RDONLY | os.O_CLOEXEC, dir_fd=table.proc)
    lines, last = 0, b""
    try:
        complete = False
        while not complete:
            data, complete = table.timeout_reader.call(lambda: _slice(descriptor))
            lines, last = lines + data.count(b"\n"), data or last
            if rings is not None and aio_rings.MARK in data:
                rings += aio_rings.parse_rings(data)
            yield
    except ReadHung:
        descriptor = -1
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return lines - last[last.rfind(b"\n", 0, -1) + 1 :].startswith(_VSYSCALL)


def _slice(descriptor: int) -> tuple[bytes, bool]:
    """Return up to SLICE_BYTES, and whether they are the last; it takes many reads, because the kernel returns one
    page of whole lines at a time."""
    parts: list[bytes] = []
    size = 0
    while size < SLICE_BYTES:
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            return b"".join(parts), True
        parts.append(data)
        size += len(data)
    return b"".join(parts), False


def unreadable_reason(number: int, root: bool) -> str:
    """Return why maps could not be counted; for root: other processes have more capabilities than sockmon kept."""
    if root:
        return f"memory maps of {plural(number, 'process')} need capabilities that sockmon was not given"
    return f"memory maps of {plural(number, 'process')} of other users need root"
