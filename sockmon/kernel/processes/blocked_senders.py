"""Which processes are blocked in send() on a unix datagram socket, and what its reader does: /proc/PID.

A sender that finds the queue full waits in unix_wait_for_peer() (net/unix/af_unix.c), which /proc/PID/wchan has.
The kernel shows that only to those who may trace the process (ptrace(2)), so what is not shown is not known.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.model.snapshot import Owner
from sockmon.text import sanitize

MAX_SENDERS = 64
"""Processes that are looked at for one queue."""
MAX_THREADS = 64
"""Threads of one process that are looked at."""
_WAITS_FOR_ROOM = b"unix_wait_for_peer"
_NOT_WAITING = (b"", b"0")


class Activity(NamedTuple):
    """What the main thread of a process does."""

    state: str
    """The letter of /proc/PID/stat; empty if unknown."""
    wchan: str
    """The kernel function that it waits in; empty if it does not wait, or if that is not shown."""


def read_activity(owner: Owner, proc: int) -> Activity:
    """Return what `owner` does now; of a process that has ended, or cannot be read, nothing."""
    try:
        stat = proc_files.parse_stat(proc_files.read(f"{owner.pid}/stat", proc))
        wchan = proc_files.read(f"{owner.pid}/wchan", proc)
    except (OSError, ValueError):
        return Activity("", "")
    if stat.start != owner.start:
        return Activity("", "")
    return Activity(stat.state, "" if wchan in _NOT_WAITING else sanitize(wchan))


def find_blocked(holders: Iterable[Owner], proc: int) -> Incremental[tuple[Owner, ...]]:
    """Return those of `holders` with a thread that waits for room in the queue of a unix datagram socket."""
    found = {}
    for holder in sorted(set(holders), key=lambda owner: owner.pid)[:MAX_SENDERS]:
        yield
        if _is_blocked(holder.pid, proc):
            found[holder.pid] = holder
    return tuple(found.values())


def _is_blocked(pid: int, proc: int) -> bool:
    threads = [str(pid)]
    with suppress(OSError):
        descriptor = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
        try:
            threads = os.listdir(descriptor)[:MAX_THREADS]
        finally:
            os.close(descriptor)
    return any(_wchan(f"{pid}/task/{thread}/wchan", proc) == _WAITS_FOR_ROOM for thread in threads)


def _wchan(path: str, proc: int) -> bytes:
    try:
        return proc_files.read(path, proc)
    except OSError:
        return b""
