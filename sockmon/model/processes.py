"""The processes of a host, and those that own sockets; parts of a Snapshot."""

from __future__ import annotations

import msgspec

from sockmon.model.user_namespace import UserNamespace

UNLIMITED = -1
"""RLIM_INFINITY in `Process.soft` and `Process.hard`."""
USER_HZ = 100
"""Clock ticks in a second of `Process.start`, on every architecture (include/asm-generic/param.h)."""


class Owner(msgspec.Struct, frozen=True, gc=False):
    """A process that owns some of the sockets in question."""

    pid: int
    start: int
    name: str
    sockets: int
    estimated: bool = False
    """True if the number is an estimate from a sample of the process's descriptors."""


class Process(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A process; `pid` and `start` together are its identity, because pids are reused."""

    pid: int
    start: int
    """Start time in clock ticks since boot: field 22 of /proc/PID/stat."""
    name: str
    """The kernel's comm."""
    command: str
    """The command line; the name in brackets if it is empty."""
    uid: int
    user: str
    threads: int
    rss: int
    """Resident memory in bytes."""
    fds: int | None
    """Open file descriptors."""
    soft: int | None
    """RLIMIT_NOFILE soft, or UNLIMITED."""
    hard: int | None
    sockets: int | None = None
    """File descriptors that are sockets, as of `Processes.owners_at`."""
    close_wait: int | None = None
    """TCP sockets of the process in CLOSE_WAIT, as of `Processes.owners_at`; None: not counted, as where the
    states of its network namespace are not read."""
    sampled: bool = False
    """True if `sockets`, `close_wait` and the queues are estimates from a sample of its descriptors."""
    nproc: int | None = None
    """RLIMIT_NPROC soft, which counts the tasks of its real user, or UNLIMITED."""
    recv_queue: int | None = None
    """Bytes that its TCP sockets have received and it has not read, as of `TcpQueues.at`. None: no such data was
    found; the sockets of other network namespaces are not read."""
    send_queue: int | None = None
    """Bytes that it has written to its TCP sockets and the peers have not acknowledged; None as above."""
    exempt: bool = False
    """True if RLIMIT_NPROC does not apply: root of the initial user namespace, CAP_SYS_RESOURCE or CAP_SYS_ADMIN
    (kernel/fork.c)."""
    user_namespace: int = 0
    """Inode of its user namespace; 0: that of sockmon, or not noted in an older recording; UNREADABLE: unknown."""
    kinds: tuple[tuple[str, int], ...] = ()
    """What its descriptors refer to, the most frequent kind first, such as `("pipe", 960)`, as of
    `Processes.owners_at`; empty if it has few, or if that is not known."""


class Processes(msgspec.Struct, frozen=True):
    """All processes that /proc shows."""

    at: float
    rows: tuple[Process, ...]
    unseen: int
    """Processes whose descriptors may not be read; their count and limits still are."""
    owners_at: float | None
    """When the last complete walk over descriptors ended."""
    hidden: str = ""
    """Why /proc does not show the processes of other users (hidepid); empty if it does."""
    user_namespaces: tuple[UserNamespace, ...] = ()
    """Those of the rows and their ancestors, without sockmon's own."""
    owners_known: float | None = None
    """Part of all open descriptors that belong to processes whose descriptors were read, 0 to 1; None if it is not
    known: no walk, an older recording, a kernel that does not count those of others, or processes are hidden."""
