"""Memory maps of processes, which vm.max_map_count limits: lines of /proc/PID/maps (fs/proc/task_mmu.c).

No file tells their number, and writing a line costs the kernel 0.4 µs. So a process is counted again only when its
size (/proc/PID/statm, which takes no lock) or its threads changed, or after a minute, and sooner if it has many.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.errors import Unreadable
from sockmon.kernel import process_files
from sockmon.kernel.aside import Blocked
from sockmon.kernel.netlink import Steps
from sockmon.kernel.processes import ProcessTable
from sockmon.model.snapshot import Maps, Missing, Process, ProcessMaps

ROWS = 20
"""Processes that are told; the rest has fewer maps."""
STALE = 60.0
"""Seconds after which a process is counted again although its size is the same: mprotect(2) splits maps."""
LARGE, LARGE_STALE = 1 << 14, 10.0
"""Maps from which on that is so after a shorter time: a quarter of the default limit."""
SLICE = 1 << 16
"""Bytes that are read at once, about 700 lines: 0.3 ms."""
_READ = 1 << 14
# The page of x86 that every process shows at the end and that is no map of its own (arch/x86/entry/vsyscall).
_VSYSCALL = b"ffffffffff600000-"
_SPREAD = 30
_NO_MEMORY = b"0"  # a zombie, or a process whose first thread has exited: what the others map is not shown
_STEP = 64  # processes in one step of which only the size is asked
_GONE = (errno.ENOENT, errno.ESRCH)


class _Counted(NamedTuple):
    """What a process had when it was counted; `maps` is None where its maps may not be read."""

    start: int
    size: bytes
    threads: int
    at: float
    """When, for the purpose of counting it again."""
    maps: int | None

    @property
    def lasts(self) -> float:
        """Seconds for which that holds while the size stays the same."""
        return LARGE_STALE if (self.maps or 0) >= LARGE else STALE


class MapCounts:
    """Counts the maps of all processes, again and again. Not for use by two threads."""

    def __init__(self, table: ProcessTable) -> None:
        self.missing: tuple[Missing, ...] = ()
        """What the last complete walk could not see, and why."""
        self._table = table
        self._counted: dict[int, _Counted] = {}
        self._blocked: dict[int, int] = {}

    def steps(self, rows: Sequence[Process], at: float) -> Steps[Maps]:
        """The processes of `rows` with the most maps as of `at`, in steps of 64 kB; Unreadable when no thread
        can be had that reads them."""
        self._forget(rows)
        for number, row in enumerate(rows, 1):
            looked = row.start != self._blocked.get(row.pid) and (yield from self._look(row, at))
            if looked or number % _STEP == 0:
                yield
        found = [(row, known.maps) for row in rows if (known := self._counted.get(row.pid))]
        seen = [(row, maps) for row, maps in found if maps is not None]
        seen.sort(key=lambda pair: (-pair[1], pair[0].pid))
        unseen = len(found) - len(seen)
        self.missing = self._missing(unseen)
        return Maps(
            at=at,
            rows=tuple(ProcessMaps(row.pid, row.start, row.name, maps, row.threads) for row, maps in seen[:ROWS]),
            counted=len(seen),
            unseen=unseen,
        )

    def _forget(self, rows: Sequence[Process]) -> None:
        alive = {row.pid: row.start for row in rows}
        self._counted = {pid: known for pid, known in self._counted.items() if alive.get(pid) == known.start}
        self._blocked = {pid: start for pid, start in self._blocked.items() if alive.get(pid) == start}

    def _look(self, row: Process, at: float) -> Steps[bool]:
        """Count one process where that is worth it; True when its maps were asked for."""
        known = self._counted.get(row.pid)
        try:
            size = self._size(row.pid)
            if known and (known.size, known.threads) == (size, row.threads) and at - known.at < known.lasts:
                return False
            if size == _NO_MEMORY:
                self._counted.pop(row.pid, None)
                return False
            maps = yield from self._count(row)
        except OSError as error:
            if error.errno not in _GONE:
                raise Unreadable("maps", f"cannot read /proc/PID/maps: {error.strerror}") from error
            self._counted.pop(row.pid, None)
            return True
        except Blocked:
            self._blocked[row.pid] = row.start
            self._counted.pop(row.pid, None)
            return True
        # Spread, so that not all that were first counted together are due together.
        self._counted[row.pid] = _Counted(
            row.start, size, row.threads, at if known else at - row.pid % _SPREAD, maps
        )
        return True

    def _size(self, pid: int) -> bytes:
        try:
            return process_files.read(f"{pid}/statm", self._table.proc).partition(b" ")[0]
        except PermissionError:
            return b""

    def _count(self, row: Process) -> Steps[int | None]:
        try:
            return (yield from count(self._table, row.pid))
        except PermissionError:
            return None

    def _missing(self, unseen: int) -> tuple[Missing, ...]:
        reasons = []
        if unseen:
            reasons.append(why_unseen(unseen, os.geteuid() == 0))
        if self._blocked:
            reasons.append(f"{_processes(len(self._blocked))} held its memory lock: its maps are not counted")
        return tuple(Missing("maps", reason) for reason in reasons)


def count(table: ProcessTable, pid: int) -> Steps[int]:
    """The memory maps of one process, in steps of 64 kB; OSError as the kernel gives it, Blocked when the process
    holds its memory lock.

    Read aside, because the kernel takes that lock. The descriptor is left to a read that does not come back: its
    number would be another file's by the time it does."""
    if table.hangs(pid):
        raise Blocked("maps", "the process holds its memory lock")
    descriptor = os.open(f"{pid}/maps", os.O_RDONLY | os.O_CLOEXEC, dir_fd=table.proc)
    lines, last = 0, b""
    try:
        while data := table.aside.call(lambda: _slice(descriptor)):
            lines, last = lines + data.count(b"\n"), data
            yield
    except Blocked:
        descriptor = -1
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return lines - last[last.rfind(b"\n", 0, -1) + 1 :].startswith(_VSYSCALL)


def _slice(descriptor: int) -> bytes:
    """Up to SLICE bytes, which take many reads: the kernel gives one page of whole lines at a time."""
    parts, size = [], 0
    while size < SLICE and (data := os.read(descriptor, _READ)):
        parts.append(data)
        size += len(data)
    return b"".join(parts)


def why_unseen(number: int, root: bool) -> str:
    """Why maps could not be counted: root meets processes with more capabilities than it was left with."""
    if root:
        return f"memory maps of {_processes(number)} need capabilities that sockmon was not given"
    return f"memory maps of {_processes(number)} of other users need root"


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number:,} processes"
