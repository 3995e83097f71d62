"""Which network namespaces there are: those of the visible processes, and those that a mount keeps alive.

A namespace that only an open file, a socket or another thread of a process keeps alive is not found.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sockmon.kernel.errnos import FORBIDDEN
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.namespaces.nsfs_mounts import read_nsfs_mounts
from sockmon.kernel.netlink import Incremental

PROCESSES_PER_STEP = 128


class ProcessId(Protocol):
    """A process: pid and start time in clock ticks since boot."""

    @property
    def pid(self) -> int: ...
    @property
    def start(self) -> int: ...


P = TypeVar("P", bound=ProcessId)


@dataclass
class FoundNetns(Generic[P]):
    """A network namespace; nothing keeps it open, so it may end at any time and its inode be reused."""

    inode: int
    """That of /proc/PID/ns/net; 0: this user may not read it."""
    proc_inode: int
    """That of /proc/PID/net, as `proc_net_inode`; 0: it has no process."""
    processes: list[P] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    """Where it is mounted, names of ip-netns(8) first."""


def find_namespaces(rows: Iterable[P], proc: int) -> Incremental[list[FoundNetns[P]]]:
    """Return the network namespaces of `rows` and of mounts, each once; `proc` is a descriptor of /proc.

    /proc/PID/ns/net may be read by those who may trace the process; /proc/PID/net tells namespaces apart for
    others."""
    known: dict[int, FoundNetns[P]] = {}
    hidden: dict[int, FoundNetns[P]] = {}
    for number, row in enumerate(rows, 1):
        if number % PROCESSES_PER_STEP == 0:
            yield
        with suppress(OSError):
            _of_process(row, proc, known, hidden).processes.append(row)
    yield
    _join_hidden(known, hidden, proc)
    mounts = yield from read_nsfs_mounts(proc)
    for inode, points in mounts.items():
        known.setdefault(inode, FoundNetns(inode, 0)).mounts = points
    return [*known.values(), *hidden.values()]


def _of_process(
    row: P, proc: int, known: dict[int, FoundNetns[P]], hidden: dict[int, FoundNetns[P]]
) -> FoundNetns[P]:
    try:
        inode = netns_inode(f"{row.pid}/ns/net", proc)
        return known.get(inode) or known.setdefault(inode, FoundNetns(inode, 0))
    except OSError as error:
        if error.errno not in FORBIDDEN:
            raise
    proc_inode = proc_net_inode(str(row.pid), proc)
    return hidden.get(proc_inode) or hidden.setdefault(proc_inode, FoundNetns(0, proc_inode))


def _join_hidden(known: dict[int, FoundNetns[P]], hidden: dict[int, FoundNetns[P]], proc: int) -> None:
    """Learn the other inode of each namespace, and join processes that may not be read with those that may."""
    for found in known.values():
        for row in found.processes:
            with suppress(OSError):
                found.proc_inode = proc_net_inode(str(row.pid), proc)
                break
        if other := hidden.pop(found.proc_inode, None):
            found.processes += other.processes
