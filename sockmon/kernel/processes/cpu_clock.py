"""How long a process has run, from its processor clock: the cheapest read that tells that it has done nothing.

One system call that opens no file, takes no lock and needs no privilege (clock_getcpuclockid(3); pid_for_clock()
in kernel/time/posix-cpu-timers.c). While this time is the same, so is what only the process itself can change:
descriptors, threads, memory maps, program, user and namespaces.

Three exceptions are rare, so what relies on it is read again now and then all the same: another process that
shares the descriptors (clone(2) with CLONE_FILES), one that handles a part of its memory (userfaultfd(2)), and a
hypervisor whose stolen time hides a run of some microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

REREAD_EVERY = 20
"""Walks after which what was read of an idle process is read again."""
_PROCESS_SCHED = 2  # CPUCLOCK_SCHED without CPUCLOCK_PERTHREAD_MASK, include/linux/posix-timers_types.h

T = TypeVar("T")


def clock_of(pid: int) -> int:
    """Return the clock of a process for time.clock_gettime_ns(), which raises OSError if the process has ended."""
    return ~pid << 3 | _PROCESS_SCHED


class IdleValues(Generic[T]):
    """What walks over all processes have read of each, for as long as it does not run."""

    def __init__(self, cpu_time: Callable[[int], int | None]) -> None:
        """`cpu_time` returns the nanoseconds that a process has run; None: not known."""
        self._cpu_time = cpu_time
        self._before: dict[int, tuple[int, T]] = {}
        self._known: dict[int, tuple[int, T]] = {}
        self._walks = 0

    def begin_walk(self) -> None:
        """Begin another walk; those that the last one has not met are forgotten."""
        self._before, self._known = self._known, {}
        self._walks += 1

    def get(self, pid: int) -> T | None:
        """Return what was read of a process; None if it has run since, or has to be read again all the same."""
        found = self._before.get(pid)
        if found is None or found[0] != self._cpu_time(pid) or (pid + self._walks) % REREAD_EVERY == 0:
            return None
        self._known[pid] = found
        return found[1]

    def put(self, pid: int, value: T) -> None:
        """Remember what was read of a process after its time was read."""
        cpu_time = self._cpu_time(pid)
        if cpu_time is not None:
            self._known[pid] = (cpu_time, value)
