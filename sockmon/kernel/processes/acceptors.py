"""Which of the processes that hold a listener accepts on it, and which are stopped: /proc/PID/syscall and stat.

Workers inherit the listeners of their master, so most holders of a listener never call accept() on it. A process
accepts if the listener is in an epoll set of it (`epoll_inotify` reads those), or if its main thread is blocked in
accept(2). One that waits in select(2), poll(2) or io_uring cannot be told from the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from sockmon.errors import ReadError
from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import descriptors, proc_files
from sockmon.kernel.processes.cpu_clock import IdleValues
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.model.snapshot import Owner

MAX_HOLDERS = 64
"""Holders of one listener that are looked at."""
_ACCEPT = {
    "x86_64": (43, 288),
    "aarch64": (202, 242),
    "riscv64": (202, 242),
    "loongarch64": (202, 242),
    "ppc64le": (330, 344),
    "s390x": (364,),
}
"""The numbers of accept(2) and accept4(2) by machine."""
_STOPPED_STATES = ("T", "t")

T = TypeVar("T")


class Acceptors(NamedTuple):
    """What is known of the processes that hold listeners, by the inode of the listener or by pid."""

    accepting: Mapping[int, tuple[Owner, ...]]
    """Inode → its holders that accept on it, the lowest pid first; absent if unknown."""
    stopped: frozenset[int]
    """The pids of the holders that are stopped, by a signal or a debugger."""


class AcceptorReader:
    """Reads who accepts, again and again. Not for use by two threads."""

    def __init__(self, table: ProcessTable) -> None:
        self._proc = table.proc
        self._stopped = IdleValues[bool](table.cpu_time)
        self._blocked = IdleValues[int](table.cpu_time)

    def steps(
        self, held: Mapping[int, tuple[Owner, ...]], in_epoll: Mapping[int, Iterable[int]]
    ) -> Incremental[Acceptors]:
        """Return who accepts on each listener of `held` (inode → holders), one process a step.

        `in_epoll` has for each inode the pids in whose epoll sets it is. Raise ReadError if no file can be
        opened."""
        self._stopped.begin_walk()
        self._blocked.begin_walk()
        accepting: dict[int, tuple[Owner, ...]] = {}
        stopped: dict[int, bool] = {}
        blocked: dict[int, int] = {}
        for inode, owners in held.items():
            waiting = set(in_epoll.get(inode, ()))
            found = []
            for owner in owners[:MAX_HOLDERS]:
                pid = owner.pid
                if pid not in stopped:
                    stopped[pid] = yield from self._known(self._stopped, owner, _is_stopped)
                if not waiting and len(owners) > 1 and pid not in blocked:
                    blocked[pid] = yield from self._known(self._blocked, owner, _blocked_in_accept)
                if pid in waiting or (not waiting and blocked.get(pid) == inode):
                    found.append(owner)
            if found:
                accepting[inode] = tuple(found)
        return Acceptors(accepting, frozenset(pid for pid, is_stopped in stopped.items() if is_stopped))

    def _known(self, idle: IdleValues[T], owner: Owner, read: Callable[[Owner, int], T]) -> Incremental[T]:
        """Return what was read of a process that has not run since, else read it: one step."""
        value = idle.get(owner.pid)
        if value is None:
            value = read(owner, self._proc)
            idle.put(owner.pid, value)
            yield
        return value


def _is_stopped(owner: Owner, proc: int) -> bool:
    try:
        stat = proc_files.parse_stat(proc_files.read(f"{owner.pid}/stat", proc))
    except ValueError:
        return False
    except OSError as error:
        _raise_if_starved(error)
        return False
    return stat.start == owner.start and stat.state in _STOPPED_STATES


def _blocked_in_accept(owner: Owner, proc: int) -> int:
    """Return the inode of the listener on which the main thread is blocked in accept(2); 0 if it is not, or if the
    kernel does not show it. A process that was stopped there still shows it (fs/proc/base.c)."""
    try:
        words = proc_files.read(f"{owner.pid}/syscall", proc).split()
        if len(words) < 2 or int(words[0]) not in _ACCEPT.get(os.uname().machine, ()):
            return 0
        link = os.readlink(f"{owner.pid}/fd/{int(words[1], 16)}", dir_fd=proc)
    except ValueError:
        return 0
    except OSError as error:
        _raise_if_starved(error)
        return 0
    return descriptors.socket_inode(link) or 0


def _raise_if_starved(error: OSError) -> None:
    if error.errno in NO_FREE_FILE:
        raise ReadError("acceptors", f"cannot read /proc/PID: {error.strerror}") from error
