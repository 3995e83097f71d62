"""The parts of a Snapshot that belong to one network namespace: sockets, listeners, ports, connection tracking."""

from __future__ import annotations

import msgspec

from sockmon.model.conntrack_tops import ConntrackTops
from sockmon.model.nat_rules import SnatRange
from sockmon.model.ports import Ports
from sockmon.model.processes import Owner
from sockmon.model.queues import OrphanGroup, QueueOwner, TcpQueues
from sockmon.model.source_addresses import SourceAddresses
from sockmon.model.transmit import TransmitQueues


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
    """Sockets in SYN_RECV: the SYN queue of a listener."""

    address: str
    port: int
    count: int


class States(msgspec.Struct, frozen=True):
    """TCP sockets by state, the kernel's names.

    ESTABLISHED and TIME_WAIT are counters as new as the Snapshot, minus what the dump at `at` counted in other
    states."""

    at: float
    """When the states that need a dump were last counted."""
    tcp: dict[str, StateCount]
    half_open: tuple[HalfOpen, ...] = ()
    """Sockets in SYN_RECV by local address, most first, at most 20."""
    orphans: tuple[OrphanGroup, ...] = ()
    """Most first, at most 20."""


class Listener(msgspec.Struct, frozen=True, omit_defaults=True):
    """A listening socket and its accept queue (sock_diag: rqueue and wqueue of a LISTEN socket)."""

    protocol: str
    """tcp or unix."""
    address: str
    """IP address, or the path of a unix socket (`@` leads an abstract name)."""
    port: int
    """0 for unix sockets."""
    queue: int
    """Connections waiting to be accepted."""
    backlog: int | None
    """The effective backlog since listen(); the queue holds one connection more. None if it is not shown."""
    inode: int
    uid: int
    owner: Owner | None
    """The process that accepts, or one that holds it if `accepting` is empty; None if unknown."""
    holders: int = 0
    """Processes that hold it, such as a master and its workers; 0 if unknown."""
    accepting: tuple[Owner, ...] = ()
    """The holders that wait for its connections, in epoll or accept(), at most 5; empty if unknown."""
    stopped: tuple[Owner, ...] = ()
    """Those of `accepting`, or of all holders if that is unknown, that are stopped by a signal or a debugger, at
    most 5."""
    peak: int = 0
    """The longest queue of a unix listener in the samples between Snapshots; 0 if it was never full."""
    full_samples: int = 0
    """Samples in which the queue of a unix listener was full, of `samples`."""
    bursts: int = 0
    """How often it became full in those samples."""
    samples: int = 0
    sampled_seconds: float = 0.0
    """Seconds from the first to the last of `samples`."""
    drops: int | None = None
    """Connections that it dropped since it was made (sk_drops): its accept queue or its SYN queue was full. A
    retry counts again. None if the kernel does not report it, as of unix listeners."""
    has_room: bool = False
    """True if a sample in the last second found room in a queue that other samples found full."""


class UdpBuffer(msgspec.Struct, frozen=True):
    """The receive buffer of one UDP socket, with something in it or with datagrams that were dropped."""

    address: str
    port: int
    inode: int
    queued: int
    """Bytes that wait, as the kernel charges them: overhead included."""
    rcvbuf: int
    """Bytes that fit: net.core.rmem_default, or twice what SO_RCVBUF asked for."""
    drops: int
    """Datagrams dropped since the socket was made."""
    owner: Owner | None = None


class UdpPorts(msgspec.Struct, frozen=True):
    """Ephemeral UDP ports of a namespace: one pool, whatever the destination."""

    at: float
    low: int
    high: int
    reserved: int
    used: int
    """Different ports of the range in use, without reserved ones."""
    usable: int
    owners: tuple[Owner, ...]
    buffers: tuple[UdpBuffer, ...] | None = None
    """The fullest receive buffers and those with the most drops, at most 200; None if the kernel does not report
    them."""
    queued: int | None = None
    """Bytes in the receive buffers of all sockets, as the kernel charges them."""
    readers: tuple[QueueOwner, ...] = ()
    """The processes with the most of it, at most 10."""
    used_ipv4: int | None = None
    """Those of `used` that an IPv4 socket cannot get either: the others are on IPv6 addresses of their own. None
    in older recordings."""


class DatagramQueue(msgspec.Struct, frozen=True):
    """A unix datagram socket that is written to faster than it is read."""

    path: str
    inode: int
    waiting: int
    """Waiting messages, computed from the send memory of its senders and the memory of one message of that
    size."""
    senders: int
    owner: Owner | None
    mixed: bool = False
    """True if the messages differ in size, so that `waiting` is an estimate."""
    at: float = 0.0
    """When it was read; not every Snapshot reads it."""
    full: bool | None = None
    """Whether the kernel reports that no message fits; None if it was not asked, or cannot be asked."""
    reader_state: str = ""
    """State of the owner: R, S, D, T or t, as in /proc/PID/stat; empty if unknown."""
    reader_wchan: str = ""
    """The kernel function in which the owner waits; empty if unknown."""
    blocked: tuple[Owner, ...] = ()
    """Processes that are blocked in send() on a socket like this, at most 5."""
    blocked_total: int = 0


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
    range: SnatRange | None = None
    """The ports that the NAT rules of the namespace give to it; None if they are not known, or were not read: few
    of its ports are in use."""
    in_range: int | None = None
    """How many of its ports are in `range`: older connections may have others; None without `range`."""
    range_reason: str = ""
    """Why `range` is not known; empty if it is, or if the rules were not read."""


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
    """0: unlimited. One limit for the host, which applies to the count of each namespace."""
    buckets: int
    stats: dict[str, int]
    """/proc/net/stat/nf_conntrack summed over processors: drop, insert_failed, early_drop, ..."""
    table_at: float | None = None
    """When the table was last read."""
    table: dict[str, int] | None = None
    """Entries by protocol and, for TCP, state: `tcp ESTABLISHED`, `udp`, `icmp`, ..."""
    unreplied: int | None = None
    tops: ConntrackTops | None = None
    """None if the table was not read, and in older recordings."""


class Netns(msgspec.Struct, frozen=True):
    """One network namespace."""

    name: str
    """`host` for the initial namespace, `net:[inode]` for another one that sockmon was started in, otherwise the
    name in the command."""
    inode: int
    sockstat: Sockstat | None
    counters: dict[str, int]
    """Watched lines of /proc/net/netstat and snmp, as `TcpExt.ListenOverflows`."""
    sysctls: dict[str, str]
    """Values of this namespace, raw, by key; a key that this namespace does not have is absent."""
    states: States | None
    listeners: tuple[Listener, ...] | None
    ports: Ports | None
    conntrack: Conntrack | None
    udp: UdpPorts | None = None
    datagrams: tuple[DatagramQueue, ...] | None = None
    snat: Snat | None = None
    source_addresses: SourceAddresses | None = None
    """None if no destination uses half of its ports, and in older recordings."""
    transmit: TransmitQueues | None = None
    queues: TcpQueues | None = None
    """None also if TCP uses less than MIN_PAGES of memory on the whole host: then the sockets are not read."""
    kind: str = ""
    """What `name` is the name of, as `NetnsName.kind`; empty if it is a pid or a path, and in older recordings."""
    container: str = ""
    """The id of its container; empty if it has none, and in older recordings."""
    entry: str = ""
    """What `ip netns exec` or `nsenter` takes for it: a name, a pid or a path; empty for sockmon's own, and in
    older recordings."""
    at: float | None = None
    """When sockets, counters and listeners were read, seconds on CLOCK_BOOTTIME; None: with the Snapshot, as of
    sockmon's own and those that `--netns` names."""
    runtime: str = ""
    """What made its container, as `NetnsName.runtime`; empty: none, or unknown."""
    processes: int | None = None
    """Visible processes in it; None: not counted, as of those with `at` None."""
    cookie: int = 0
    """The kernel's number of it, which no other namespace gets until the next boot; 0: not read."""
    pid: int = 0
    """The oldest visible process in it; 0: none, or not searched for."""
    pids: tuple[int, ...] = ()
    """The visible processes in it, at most 2,000; empty: none, or not searched for, as in sockmon's own."""
    ruled_out: tuple[str, ...] = ()
    """Names of the fields above that were not read, because sockets and counters prove that no limit in them is
    near; empty if all are read."""
