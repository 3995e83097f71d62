"""Locked and pinned memory, which RLIMIT_MEMLOCK limits: VmLck and VmPin of /proc/PID/status (fs/proc/task_mmu.c).

mlock(2) and VFIO charge the process (mm->locked_vm, VmLck), RDMA too (mm->pinned_vm, VmPin). io_uring charges
the user (user->locked_vm), which no file shows; its registered buffers are in VmPin as well. The size of its
rings, which some kernels charge, follows from the masks in /proc/PID/fdinfo. What else charges the user is not
visible: MSG_ZEROCOPY, AF_XDP, and BPF before Linux 5.11.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from sockmon.errors import ReadError
from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files, rlimits
from sockmon.kernel.processes.cpu_clock import IdleValues
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.processes.user_namespace import Exemption
from sockmon.model.snapshot import LockedMemory, Process, ProcessLocked

MAX_ROWS = 64
RING = "io_uring"
_READER = "locked memory"
_ROWS_PER_STEP = 32
_SIZES = re.compile(rb"\nVm(Lck|Pin):\s*(\d+) kB")
_MASK = re.compile(rb"\n(ino|SqMask|CqMask):\s*(?:0x)?([0-9a-f]+)")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HEADER_BYTES, _CQE_BYTES, _SQE_BYTES, _INDEX_BYTES = 64, 16, 64, 4


class LockedMemoryReader:
    """Reads all processes, again and again. Not for use by two threads."""

    def __init__(self, table: ProcessTable, owners: Owners) -> None:
        """`owners` knows the descriptors that are io_uring."""
        self._proc = table.proc
        self._owners = owners
        self._exemption = Exemption(table.proc)
        self._without = IdleValues[bool](table.cpu_time)
        """The processes that have locked nothing."""

    def steps(self, rows: Sequence[Process], at: float) -> Incremental[LockedMemory]:
        """Return the processes with locked or pinned memory, or io_uring, that RLIMIT_MEMLOCK binds; some a step.
        Raise ReadError if no file can be opened, or `owners` has read nothing yet."""
        if self._owners.at is None:
            raise ReadError(_READER, "the descriptors of processes have not been read yet")
        rings = {
            holder.pid: numbers
            for holder in self._owners.watching_processes()
            if (numbers := [number for number, kind in holder.files if kind == RING])
        }
        found, seen, unseen = [], set[int](), 0
        self._without.begin_walk()
        for number, row in enumerate(rows, 1):
            if number % _ROWS_PER_STEP == 0:
                yield
            own = rings.get(row.pid, ())
            if not own and self._without.get(row.pid):
                continue
            try:
                locked = self._read(row, own, seen)
            except OSError as error:
                if error.errno in NO_FREE_FILE:
                    raise ReadError(_READER, f"cannot read /proc/PID/status: {error.strerror}") from error
                unseen += isinstance(error, PermissionError)
                continue
            if locked is not None:
                found.append(locked)
            elif not own:
                self._without.put(row.pid, True)
        found.sort(key=lambda row: (-(row.locked + row.pinned + row.ring_bytes), row.pid))
        return LockedMemory(at, tuple(found[:MAX_ROWS]), unseen + self._owners.unseen)

    def _read(self, row: Process, rings: Sequence[int], seen: set[int]) -> ProcessLocked | None:
        status = proc_files.read(f"{row.pid}/status", self._proc)
        sizes = {name: int(size) << 10 for name, size in _SIZES.findall(status)}
        locked, pinned = sizes.get(b"Lck", 0), sizes.get(b"Pin", 0)
        if not locked and not pinned and not rings:
            return None
        if self._exemption.may_lock(row.pid, proc_files.parse_capabilities(status)):
            return None
        limit = rlimits.memlock(proc_files.read(f"{row.pid}/limits", self._proc))
        count, size = self._ring_sizes(row.pid, rings, seen)
        return ProcessLocked(row.pid, row.start, row.name, row.uid, row.user, locked, pinned, limit, count, size)

    def _ring_sizes(self, pid: int, numbers: Sequence[int], seen: set[int]) -> tuple[int, int]:
        """Return how many rings a process has that no other was counted with, and their bytes."""
        count = size = 0
        for number in numbers:
            try:
                text = proc_files.read(f"{pid}/fdinfo/{number}", self._proc)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            fields = dict(_MASK.findall(text))
            inode = int(fields.get(b"ino", b"0"))
            if b"SqMask" not in fields or b"CqMask" not in fields or inode in seen:
                continue
            if inode:
                seen.add(inode)
            count += 1
            size += ring_bytes(int(fields[b"SqMask"], 16) + 1, int(fields[b"CqMask"], 16) + 1)
        return count, size


def ring_bytes(submissions: int, completions: int) -> int:
    """Return the least memory of a ring with so many entries; one with large entries has more."""
    rings = _HEADER_BYTES + completions * _CQE_BYTES + submissions * _INDEX_BYTES
    return sum(-(-size // _PAGE) * _PAGE for size in (rings, submissions * _SQE_BYTES))
