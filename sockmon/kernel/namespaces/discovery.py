"""Which network namespaces there are: those of the visible processes, and those that a mount keeps alive.

A namespace that only an open file, a socket or another thread of a process keeps alive is not found.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from sockmon.kernel.errnos import FORBIDDEN
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.namespaces.nsfs_mounts import read_nsfs_mounts
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.cpu_clock import IdleValues

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


class NetnsInodes(NamedTuple):
    """The inodes of the namespace of one process, as in FoundNetns; `proc_inode` may be 0 if `inode` is known."""

    inode: int
    proc_inode: int


def find_namespaces(
    rows: Iterable[P], proc: int, idle: IdleValues[NetnsInodes] | None = None
) -> Incremental[list[FoundNetns[P]]]:
    """Return the network namespaces of `rows` and of mounts, each once; `proc` is a descriptor of /proc, `idle`
    has what earlier calls have read.

    /proc/PID/ns/net may be read by those who may trace the process; /proc/PID/net tells namespaces apart for
    others."""
    idle = idle or IdleValues(lambda _: None)
    idle.begin_walk()
    known: dict[int, FoundNetns[P]] = {}
    hidden: dict[int, FoundNetns[P]] = {}
    for number, row in enumerate(rows, 1):
        if number % PROCESSES_PER_STEP == 0:
            yield
        inodes = idle.get(row.pid)
        if inodes is None:
            try:
                inodes = _inodes_of(str(row.pid), proc)
            except OSError:
                continue
            idle.put(row.pid, inodes)
        same = known if inodes.inode else hidden
        found = same.get(inodes.inode or inodes.proc_inode)
        if found is None:
            found = same[inodes.inode or inodes.proc_inode] = FoundNetns(*inodes)
        found.proc_inode = found.proc_inode or inodes.proc_inode
        found.processes.append(row)
    yield
    _join_hidden(known, hidden, proc, idle)
    mounts = yield from read_nsfs_mounts(proc)
    for inode, points in mounts.items():
        known.setdefault(inode, FoundNetns(inode, 0)).mounts = points
    return [*known.values(), *hidden.values()]


def _inodes_of(process: str, proc: int) -> NetnsInodes:
    try:
        return NetnsInodes(netns_inode(f"{process}/ns/net", proc), 0)
    except OSError as error:
        if error.errno not in FORBIDDEN:
            raise
    return NetnsInodes(0, proc_net_inode(process, proc))


def _join_hidden(
    known: dict[int, FoundNetns[P]], hidden: dict[int, FoundNetns[P]], proc: int, idle: IdleValues[NetnsInodes]
) -> None:
    """Learn the other inode of each namespace, and join processes that may not be read with those that may."""
    for found in known.values():
        for row in () if found.proc_inode else found.processes:
            with suppress(OSError):
                found.proc_inode = proc_net_inode(str(row.pid), proc)
                idle.put(row.pid, NetnsInodes(found.inode, found.proc_inode))
                break
        if other := hidden.pop(found.proc_inode, None):
            found.processes += other.processes
