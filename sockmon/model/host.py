"""What belongs to the whole machine: its processes, files, tasks, memory, cgroups; parts of a Snapshot."""

from __future__ import annotations

import msgspec


class Missing(msgspec.Struct, frozen=True):
    """Something that could not be seen: which reader, and why."""

    reader: str
    reason: str


class Host(msgspec.Struct, frozen=True):
    """The machine, and as whom it is read."""

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
    """Of the pid namespace that is read, from Linux 6.14 on; before that of the host."""
    threads_max: int
    initial: bool = True
    """False in a pid namespace of its own, which shows neither the host's pid_max nor the tasks beside it."""
    namespace: int = 0
    """Inode of the pid namespace; 0 where it is not known."""
    last_pid: int | None = None
    """The id that was given out last, field 5 of /proc/loadavg: a small one beside large ids in use says that
    the ids have wrapped around."""
    low: int | None = None
    """Ids below 300 in use: once an id beyond 300 was given out the kernel gives none of those out again
    (RESERVED_PIDS, kernel/pid.c). Counted when more than half of the ids are taken."""


class Memory(msgspec.Struct, frozen=True):
    """The host-wide part of /proc/net/sockstat; limits are None where the namespace does not show them."""

    tcp_pages: int
    udp_pages: int
    orphans: int
    tcp_allocated: int
    """TCP sockets of the whole host, in every namespace."""
    tcp_mem: tuple[int, int, int] | None
    """net.ipv4.tcp_mem: low, pressure, high, in pages."""
    max_orphans: int | None
    """net.ipv4.tcp_max_orphans."""


class Owner(msgspec.Struct, frozen=True, gc=False):
    """A process that holds some of the sockets in question."""

    pid: int
    start: int
    name: str
    sockets: int
    estimated: bool = False
    """True where the number comes from a sample of the process's descriptors."""


UNLIMITED = -1
"""RLIM_INFINITY in `Process.soft` and `Process.hard`."""


class Process(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A process; `pid` and `start` together are its identity, because pids are used again."""

    pid: int
    start: int
    """Start time in clock ticks since boot: field 22 of /proc/PID/stat."""
    name: str
    """The kernel's comm."""
    command: str
    """The command line, or the name in brackets where there is none."""
    uid: int
    user: str
    threads: int
    rss: int
    """Resident memory in bytes."""
    fds: int | None
    """Open file descriptors."""
    soft: int | None
    """RLIMIT_NOFILE soft; UNLIMITED where there is none."""
    hard: int | None
    sockets: int | None = None
    """File descriptors that are sockets, as of `Processes.owners_at`."""
    close_wait: int | None = None
    """TCP sockets of the process in CLOSE_WAIT, as of `Processes.owners_at`."""
    sampled: bool = False
    """True where `sockets` and `close_wait` are estimates from a sample of its descriptors."""
    nproc: int | None = None
    """RLIMIT_NPROC soft, which counts the tasks of its real user; UNLIMITED where there is none."""
    exempt: bool = False
    """True where RLIMIT_NPROC does not bind it: root of the initial user namespace, CAP_SYS_RESOURCE or
    CAP_SYS_ADMIN (kernel/fork.c)."""


class Processes(msgspec.Struct, frozen=True):
    """All processes that /proc shows, and what of them could not be seen."""

    at: float
    rows: tuple[Process, ...]
    unseen: int
    """Processes whose descriptors' owners may not be read (their count and limits still are)."""
    owners_at: float | None
    """When the last complete walk over descriptors ended."""


class ProcessMaps(msgspec.Struct, frozen=True):
    """Memory maps of one process: lines of /proc/PID/maps, less [vsyscall], which is none."""

    pid: int
    start: int
    name: str
    maps: int
    threads: int


class Maps(msgspec.Struct, frozen=True):
    """The processes with the most memory maps."""

    at: float
    """When the last complete walk began."""
    rows: tuple[ProcessMaps, ...]
    """Most maps first, at most 20."""
    counted: int
    unseen: int
    """Processes whose maps may not be read."""


class UserWatches(msgspec.Struct, frozen=True):
    """What one real user holds of epoll and inotify."""

    uid: int
    user: str
    epoll: int
    """Descriptors registered in epoll sets: `tfd:` lines of /proc/PID/fdinfo."""
    inotify_instances: int
    inotify_watches: int
    estimated: bool
    """True where `epoll` takes one watch a descriptor for a process with a set too large to list."""
    owners: tuple[Owner, ...]
    """The processes with the most inotify instances and watches; `sockets` counts both together."""


class Watches(msgspec.Struct, frozen=True):
    """Use of epoll and inotify by user."""

    at: float
    users: tuple[UserWatches, ...]
    unseen: int
    """Processes whose descriptors may not be read."""


class PidsCgroup(msgspec.Struct, frozen=True):
    """One cgroup with a limit of tasks: pids.current, pids.max and pids.events of it."""

    path: str
    current: int
    maximum: int
    refused: int | None
    """`max` of pids.events: forks that were refused, which before Linux 6.11 and on v1 are counted where the
    forking task is."""
    name: str
    """A process inside."""
    processes: int
    """Processes that are seen in it and below."""


class MemoryCgroup(msgspec.Struct, frozen=True):
    """One cgroup with a limit of memory, in bytes."""

    path: str
    current: int
    maximum: int
    reclaimable: int
    """Of `current` the page cache and slab that the kernel takes back before it kills."""
    sockets: int | None
    """Of `current` what TCP and UDP buffers take."""
    oom_kills: int | None
    name: str
    processes: int


class Cgroups(msgspec.Struct, frozen=True):
    """The cgroups of the processes that are seen, and their ancestors, as far as they have a limit."""

    at: float
    pids: tuple[PidsCgroup, ...]
    memory: tuple[MemoryCgroup, ...]
    hidden: bool
    """True in a cgroup namespace: ancestors, whose limits apply too, are not shown."""


class Neighbours(msgspec.Struct, frozen=True):
    """One neighbour table of the host, all namespaces together: /proc/net/stat/arp_cache or ndisc_cache."""

    table: str
    entries: int
    fulls: int
    """`table_fulls`: entries that could not be made."""
    permanent: int | None = None
    """Of `entries` those of our own network namespace that do not count against the limit: set by hand, or by a
    routing daemon. None where they were not counted, because the table has few entries."""


class Softnet(msgspec.Struct, frozen=True):
    """/proc/net/softnet_stat, all processors."""

    dropped: int
    squeezed: int
    backlog: int | None
    """Packets in the longest input queue; None: this kernel does not tell."""
    cpu: int | None
    """The processor with the longest."""
