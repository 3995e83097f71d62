"""What belongs to the whole machine: files, tasks, memory, neighbours, packet queues; parts of a Snapshot."""

from __future__ import annotations

import msgspec


class Host(msgspec.Struct, frozen=True):
    """The machine, and the user that reads it."""

    name: str
    kernel: str
    boot_id: str
    cpus: int
    page_size: int
    user: str
    """Name of the user that the agent runs as."""
    uid: int


class Files(msgspec.Struct, frozen=True):
    """/proc/sys/fs/file-nr, file-max and nr_open: open files of the whole host."""

    allocated: int
    maximum: int
    nr_open: int


class Tasks(msgspec.Struct, frozen=True):
    """Tasks (threads) of the whole host: field 4 of /proc/loadavg, kernel.pid_max and kernel.threads-max."""

    total: int
    pid_max: int
    """That of the pid namespace from Linux 6.14 on; before, that of the host."""
    threads_max: int
    initial: bool = True
    """False in a private pid namespace, which shows neither the host's pid_max nor tasks outside of it."""
    namespace: int = 0
    """Inode of the pid namespace; 0 if unknown."""
    last_pid: int | None = None
    """The newest id, field 5 of /proc/loadavg. If it is small and large ids are in use, the ids have wrapped
    around."""
    low: int | None = None
    """Ids below 300 in use: after a wrap-around the kernel does not use those again (RESERVED_PIDS, kernel/pid.c).
    Counted if more than half of the ids are in use."""


class Memory(msgspec.Struct, frozen=True):
    """The host-wide part of /proc/net/sockstat; limits are None if the namespace does not show them."""

    tcp_pages: int
    udp_pages: int
    orphans: int
    tcp_allocated: int
    """TCP sockets of the whole host, in every namespace."""
    tcp_mem: tuple[int, int, int] | None
    """net.ipv4.tcp_mem: low, pressure, high, in pages."""
    max_orphans: int | None
    """net.ipv4.tcp_max_orphans."""


class Neighbours(msgspec.Struct, frozen=True):
    """One neighbour table of the host, all namespaces together: /proc/net/stat/arp_cache or ndisc_cache."""

    table: str
    entries: int
    overflows: int = msgspec.field(name="fulls")
    """`table_fulls`: entries that could not be added because the table was full."""
    permanent: int | None = None
    """Entries of our own network namespace that do not count against the limit: set by an administrator or a
    routing daemon. None if they were not counted, because the table has few entries."""


class Softnet(msgspec.Struct, frozen=True):
    """/proc/net/softnet_stat, all processors."""

    dropped: int
    squeezed: int
    backlog: int | None
    """Packets in the longest input queue; None if this kernel does not show it."""
    cpu: int | None
    """The processor with the longest queue."""
