"""Memory maps, asynchronous I/O and locked memory of processes; parts of a Snapshot."""

from __future__ import annotations

import msgspec


class ProcessMaps(msgspec.Struct, frozen=True):
    """Memory maps of one process: lines of /proc/PID/maps without [vsyscall], which is not a map."""

    pid: int
    start: int
    name: str
    maps: int
    threads: int


class ProcessAio(msgspec.Struct, frozen=True):
    """The contexts of asynchronous I/O of one process: its maps `/[aio]`."""

    pid: int
    start: int
    name: str
    contexts: int
    most_requests: int
    """What it reserves of fs.aio-max-nr at most, from the size of its rings."""


class Maps(msgspec.Struct, frozen=True):
    """The processes with the most memory maps."""

    at: float
    """When the last complete walk began."""
    rows: tuple[ProcessMaps, ...]
    """Most maps first, at most 20."""
    counted: int
    unseen: int
    """Processes whose maps may not be read."""
    aio: tuple[ProcessAio, ...] = ()
    """The processes with the most asynchronous requests, at most 5."""


class ProcessLocked(msgspec.Struct, frozen=True):
    """Memory of a process that RLIMIT_MEMLOCK limits, in bytes."""

    pid: int
    start: int
    name: str
    uid: int
    user: str
    locked: int
    """VmLck: mlock(2), mlockall(2), VFIO."""
    pinned: int
    """VmPin: registered buffers of io_uring, RDMA."""
    limit: int
    """RLIMIT_MEMLOCK soft, or UNLIMITED."""
    rings: int
    """io_uring instances; one that several processes have counts for the first."""
    ring_bytes: int
    """What the rings take at least."""


class LockedMemory(msgspec.Struct, frozen=True):
    """The processes without CAP_IPC_LOCK that have locked or pinned memory, or io_uring."""

    at: float
    rows: tuple[ProcessLocked, ...]
    """Most memory first, at most 64."""
    unseen: int
    """Processes whose status or descriptors may not be read: they may have io_uring."""
