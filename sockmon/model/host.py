"""What belongs to the whole machine: its processes, files, tasks, memory, cgroups; parts of a Snapshot."""

from __future__ import annotations

import msgspec

from sockmon.model.user_namespace import UserNamespace

HIDDEN_ANCESTORS = "ancestors"
"""The part of `cgroups` that is missing in a cgroup namespace."""
OUTER_TASKS = "outer tasks"
"""The reader of the tasks outside of a private pid namespace."""
HIDDEN_PROCESSES = "processes of other users"
"""What is not judged if /proc is mounted with hidepid."""


class Missing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that could not be read, and why."""

    reader: str
    reason: str
    part: str = ""
    """The part of it, such as the controller of `cgroups`. Empty: all of it, or not noted in an older
    recording."""
    unjudged: str = ""
    """Whose limits were not judged because of it, in a few words: `3 other network namespaces`. Empty: all were
    judged, or an older recording does not have it."""
    short: str = ""
    """The reason in fewer words, for a terminal; empty: the reason is short."""
    netns: int = 0
    """The inode of the network namespace that it is about, if several are sampled; 0: the only one, or the
    host."""


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


class Owner(msgspec.Struct, frozen=True, gc=False):
    """A process that owns some of the sockets in question."""

    pid: int
    start: int
    name: str
    sockets: int
    estimated: bool = False
    """True if the number is an estimate from a sample of the process's descriptors."""


UNLIMITED = -1
"""RLIM_INFINITY in `Process.soft` and `Process.hard`."""


USER_HZ = 100
"""Clock ticks in a second of `Process.start`, on every architecture (include/asm-generic/param.h)."""


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
    """TCP sockets of the process in CLOSE_WAIT, as of `Processes.owners_at`."""
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


class UserWatches(msgspec.Struct, frozen=True):
    """The epoll watches, inotify instances and watches, and fanotify groups and marks of one real user."""

    uid: int
    user: str
    epoll: int
    """Descriptors registered in epoll sets: `tfd:` lines of /proc/PID/fdinfo."""
    inotify_instances: int
    inotify_watches: int
    estimated: bool
    """True if a process has an epoll set too large to list, for which one watch a descriptor is assumed."""
    owners: tuple[Owner, ...]
    """The processes with the most inotify instances and watches; `sockets` counts both together."""
    fanotify_groups: int = 0
    fanotify_marks: int = 0
    """Without those of groups with FAN_UNLIMITED_MARKS, which do not count."""
    fanotify_owners: tuple[Owner, ...] = ()
    """The same as `owners`, for fanotify."""


class Watches(msgspec.Struct, frozen=True):
    """Use of epoll, inotify and fanotify by user."""

    at: float
    users: tuple[UserWatches, ...]
    unseen: int
    """Processes whose descriptors may not be read."""


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


class PidsCgroup(msgspec.Struct, frozen=True):
    """A cgroup with a task limit: its pids.current, pids.max and pids.events."""

    path: str
    current: int
    maximum: int
    refused: int | None
    """`max` of pids.events: forks that were refused. Before Linux 6.11, and on v1, they are counted in the cgroup
    of the task that forks."""
    name: str
    """The name of a process in it."""
    processes: int
    """Visible processes in it and in its descendants."""
    common_name: str = ""
    """The name whose processes have the most tasks, of these; empty in older recordings."""
    common_processes: int = 0
    common_tasks: int = 0


class MemoryCgroup(msgspec.Struct, frozen=True):
    """A cgroup with a memory limit, in bytes."""

    path: str
    current: int
    maximum: int
    reclaimable: int
    """Page cache and slab in `current`, which the kernel reclaims before it kills a process."""
    sockets: int | None
    """TCP and UDP buffers in `current`."""
    oom_kills: int | None
    name: str
    processes: int


class Cgroups(msgspec.Struct, frozen=True):
    """The cgroups with a limit, among those of the visible processes and their ancestors."""

    at: float
    pids: tuple[PidsCgroup, ...]
    memory: tuple[MemoryCgroup, ...]
    hidden: bool
    """True in a cgroup namespace: ancestors, whose limits apply too, are not shown."""


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
