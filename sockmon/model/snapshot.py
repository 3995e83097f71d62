"""A Snapshot: everything that the kernel said at one moment, and nothing that was derived from it.

Units: `at` is seconds on CLOCK_BOOTTIME (rates and ages come from it alone), `wall` seconds since the epoch,
memory in the kernel's own unit (pages where the kernel counts pages, bytes where it says bytes). `None` means
"not known", never zero; why it is not known stands in `Snapshot.missing`. All text has passed `clean()`.
"""

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
    threads_max: int


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


UNLIMITED = -1
"""RLIM_INFINITY in `Process.soft` and `Process.hard`."""


class Process(msgspec.Struct, frozen=True, gc=False):
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


class Processes(msgspec.Struct, frozen=True):
    """All processes that /proc shows, and what of them could not be seen."""

    at: float
    rows: tuple[Process, ...]
    unseen: int
    """Processes whose descriptors' owners may not be read (their count and limits still are)."""
    owners_at: float | None
    """When the last complete walk over descriptors ended."""


class Sockstat(msgspec.Struct, frozen=True):
    """The per-namespace part of /proc/net/sockstat and sockstat6; `None`: the kernel has no such line."""

    used: int
    tcp_inuse: int
    tcp6_inuse: int | None
    time_wait: int
    """Includes orphaned FIN_WAIT2 minisockets."""
    udp_inuse: int
    udp6_inuse: int | None
    raw_inuse: int
    raw6_inuse: int | None
    unix: int | None
    """From /proc/net/protocols."""


class StateCount(msgspec.Struct, frozen=True):
    """Sockets in one TCP state; v6 counts AF_INET6 sockets, so also those that carry v4-mapped addresses."""

    total: int
    v4: int | None
    v6: int | None


class States(msgspec.Struct, frozen=True):
    """TCP sockets by state, the kernel's names.

    ESTABLISHED and TIME_WAIT are counters as new as the Snapshot, less what the dump of `at` found beside them."""

    at: float
    """When the states that need a dump were last counted."""
    tcp: dict[str, StateCount]


class Owner(msgspec.Struct, frozen=True, gc=False):
    """A process that holds some of the sockets in question."""

    pid: int
    start: int
    name: str
    sockets: int
    estimated: bool = False
    """True where the number comes from a sample of the process's descriptors."""


class Listener(msgspec.Struct, frozen=True):
    """A listening socket and its accept queue (sock_diag: rqueue and wqueue of a LISTEN socket)."""

    protocol: str
    """tcp or unix."""
    address: str
    """IP address, or the path of a unix socket (`@` leads an abstract name)."""
    port: int
    """0 for unix sockets."""
    queue: int
    """Connections that wait to be accepted."""
    backlog: int
    """The backlog in force since listen(): one connection more than this fits."""
    inode: int
    uid: int
    owner: Owner | None
    """Who accepts; None where it could not be found out."""


class PortGroup(msgspec.Struct, frozen=True):
    """Local ports taken towards one destination: what EADDRNOTAVAIL is decided by.

    v4-mapped IPv6 addresses are counted with IPv4, as the kernel does.
    """

    source: str
    destination: str
    port: int
    used: int
    """Different local ports of the range in use, in any state."""
    time_wait: int
    owners: tuple[Owner, ...]
    """Largest first; sockets in TIME_WAIT have no owner."""


class Ports(msgspec.Struct, frozen=True):
    """Ephemeral TCP ports of a namespace, by (source, destination, destination port)."""

    at: float
    low: int
    high: int
    reserved: int
    """Ports of the range in net.ipv4.ip_local_reserved_ports."""
    listening: tuple[int, ...]
    """Ports of the range taken by listeners, those that are reserved anyway left out."""
    bound: tuple[int, ...] | None
    """Other ports of the range held by bound, unconnected sockets; None: this kernel does not tell."""
    usable: int
    """Ports that connect() may take towards one destination."""
    groups: tuple[PortGroup, ...]
    """The largest groups, largest first."""
    groups_total: int
    other_used: int
    """Sockets of the groups that are not listed."""


class Conntrack(msgspec.Struct, frozen=True):
    """Connection tracking of one namespace."""

    count: int
    maximum: int
    """0: unlimited. One number for the host, compared with each namespace's own count."""
    buckets: int
    stats: dict[str, int]
    """/proc/net/stat/nf_conntrack summed over processors: drop, insert_failed, early_drop, ..."""
    table_at: float | None = None
    """When the table was last walked."""
    table: dict[str, int] | None = None
    """Entries by protocol and, for TCP, state: `tcp ESTABLISHED`, `udp`, `icmp`, ..."""
    unreplied: int | None = None


class Netns(msgspec.Struct, frozen=True):
    """One network namespace."""

    name: str
    """`host` for the initial namespace, `net:[inode]` for another one that sockmon was started in, else as it was
    asked for."""
    inode: int
    sockstat: Sockstat
    counters: dict[str, int]
    """Watched lines of /proc/net/netstat and snmp, as `TcpExt.ListenOverflows`."""
    sysctls: dict[str, str]
    """Values of this namespace, raw, by key; a key that the kernel does not have here is absent."""
    states: States | None
    listeners: tuple[Listener, ...] | None
    ports: Ports | None
    conntrack: Conntrack | None


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", tag_field="type"):
    """What the kernel said at one moment."""

    at: float
    wall: float
    interval: float
    """Seconds between Snapshots that the agent aims at."""
    cost: float
    """The agent's own share of one processor since it started or over the last minute: 0.014 is 1.4 %."""
    host: Host
    files: Files | None
    tasks: Tasks | None
    memory: Memory | None
    processes: Processes | None
    netns: tuple[Netns, ...]
    missing: tuple[Missing, ...]
