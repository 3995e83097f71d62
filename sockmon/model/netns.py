"""What belongs to one network namespace: sockets, listeners, ports, connection tracking; part of a Snapshot."""

from __future__ import annotations

import msgspec

from sockmon.model.host import Owner


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


class HalfOpen(msgspec.Struct, frozen=True):
    """Sockets in SYN_RECV: the SYN queue of who listens there."""

    address: str
    port: int
    count: int


class States(msgspec.Struct, frozen=True):
    """TCP sockets by state, the kernel's names.

    ESTABLISHED and TIME_WAIT are counters as new as the Snapshot, less what the dump of `at` found beside them."""

    at: float
    """When the states that need a dump were last counted."""
    tcp: dict[str, StateCount]
    half_open: tuple[HalfOpen, ...] = ()
    """Sockets in SYN_RECV by the address that they came to, most first, at most 20."""


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
    poisoned: int = 0
    """Usable ports that this group cannot have, because sockets of `Ports.sources` were bound to them; 0 for a
    group of such a source."""


class BoundSource(msgspec.Struct, frozen=True):
    """A source address whose sockets look as if they were bound before they connected: bind(address, 0).

    Such a port serves one destination only, and no other connect() of the namespace gets it."""

    source: str
    used: int
    """Different local ports of the range, to all destinations together."""
    idle: int
    """Of those: bound, and not connected (yet)."""
    time_wait: int
    destinations: int
    shared: int
    """Ports that serve more than one destination, which bound ones cannot."""
    expected: float
    """How many would be shared if the kernel had chosen them at connect()."""
    odd: float
    """Share of the ports that have the other parity than the range's first: bind(0) takes those first,
    connect() last."""
    owners: tuple[Owner, ...]


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
    sources: tuple[BoundSource, ...] = ()
    """Source addresses that bind before they connect, most ports first."""
    beyond: tuple[int, ...] = ()
    """Ports outside of the range held by bound, unconnected sockets: a wider one would not hand them out."""


class UdpPorts(msgspec.Struct, frozen=True):
    """Ephemeral UDP ports of a namespace: one pool, whatever the destination."""

    at: float
    low: int
    high: int
    reserved: int
    used: int
    """Different ports of the range that are taken, reserved ones left out."""
    usable: int
    owners: tuple[Owner, ...]


class DatagramQueue(msgspec.Struct, frozen=True):
    """A unix datagram socket that is not read as fast as it is written to."""

    path: str
    inode: int
    waiting: int
    """Messages that wait, reckoned from what its senders hold unread and what a message of that size takes."""
    senders: int
    owner: Owner | None
    mixed: bool = False
    """True where the messages differ in size: `waiting` is only a guess then."""
    at: float = 0.0
    """When it was read, which is not with every Snapshot."""


class SnatGroup(msgspec.Struct, frozen=True):
    """Translated source ports of one address towards one destination, from the connection tracking table."""

    address: str
    destination: str
    port: int
    protocol: str
    used: int
    low: int
    """The smallest translated port."""
    high: int


class Snat(msgspec.Struct, frozen=True):
    """Source address translation in a namespace."""

    at: float
    groups: tuple[SnatGroup, ...]
    """Largest first, at most 20."""
    groups_total: int


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
    udp: UdpPorts | None = None
    datagrams: tuple[DatagramQueue, ...] | None = None
    snat: Snat | None = None
