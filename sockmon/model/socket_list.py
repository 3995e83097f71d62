"""The list of sockets: what asks for it, and the rows that answer.

A SocketKey says which socket a row is: it is enough for an exact query of sock_diag, and to close the socket. The
kernel never gives the same cookie to two sockets of a boot (sock_gen_cookie()), so a key never means another one.
"""

from __future__ import annotations

import msgspec

from sockmon.model.conntrack_flows import FlowValue
from sockmon.model.processes import Owner
from sockmon.model.snapshot import Missing

MAX_LISTED = 1_000
"""Sockets that an answer lists at most; `matching` counts all."""
MAX_PARTIAL = 200
"""Sockets that an answer lists at most while the dump runs."""

TCP, UDP, RAW, PACKET, UNIX = "tcp", "udp", "raw", "packet", "unix"
PROTOCOLS = (TCP, UDP, RAW, PACKET, UNIX)

KEPT_BY_KERNEL, HALF_OPEN, NOT_ACCEPTED, ORPHAN, NO_FILE = (
    "kept-by-kernel", "half-open", "not-accepted", "orphan", "no-file",
)  # fmt: skip
"""Why a socket has no owner. KEPT_BY_KERNEL: TIME_WAIT, closed by its process. HALF_OPEN: SYN_RECV. NOT_ACCEPTED:
in the accept queue of a listener. ORPHAN: closed by its process, and the FIN is not acknowledged. NO_FILE: no
descriptor refers to it."""

SORTS = ("state", "local", "remote", "recvq", "sendq", "owner", "rtt", "retrans", "sent", "received", "proto")
"""What the list can be sorted by; the default order is `queues`: bytes that wait, most first."""


class SocketTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition: one of `values` must match."""

    field: str
    """src, dst, sport, dport, port (either), state, proto, proc, pid, user, ct (container or namespace), recvq,
    sendq, q (either), rtt (microseconds), retrans; empty: any text of the row."""
    values: tuple[FlowValue, ...]
    negated: bool = False


class SocketListQuery(msgspec.Struct, frozen=True, tag="sockets", tag_field="focus"):
    """Ask for the sockets that match all terms. It replaces an older one that is not answered yet."""

    netns: int = 0
    """Inode of the namespace; 0: all that are watched."""
    terms: tuple[SocketTerm, ...] = ()
    sort: str = ""
    """One of SORTS; empty: the most bytes in the queues first. Unknown values come last in either direction."""
    reverse: bool = False
    """Whether the largest come first."""
    number: int = 0
    """Tells answers to this query from those to an earlier one with the same terms."""


class StopSocketList(msgspec.Struct, frozen=True, tag="stop-sockets", tag_field="focus"):
    """Stop the dump of a list that is no longer shown. There is no answer."""


class SocketKey(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What identifies one socket."""

    netns: int
    """Inode of its network namespace."""
    protocol: str
    """One of PROTOCOLS."""
    family: int
    """AF_INET 2, AF_INET6 10, AF_UNIX 1, AF_PACKET 17. An AF_INET6 socket can have v4-mapped addresses."""
    cookie: int
    """The kernel's number for this socket, never used again; 0: unknown, as with the text of /proc/net."""
    inode: int = 0
    """0 if no descriptor refers to it."""
    source: str = ""
    """The local IP address, `::ffff:10.0.0.5` if it is v4-mapped; empty for unix and packet."""
    source_port: int = 0
    """Of a raw socket the IP protocol; of a packet socket the Ethernet protocol."""
    destination: str = ""
    destination_port: int = 0
    device: int = 0
    """Index of the device that it is bound to."""


class ListedSocket(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One row of the list. Queues in bytes (of a listener: connections), times in seconds, RTT in milliseconds."""

    key: SocketKey
    state: str
    """The kernel's TCP states; UNCONN for a socket of another protocol that is not connected, as ss writes it."""
    local: str
    """As ss writes it: `10.0.0.5:443`, `[::1]:80`, a unix path."""
    remote: str
    """Empty for a unix socket without a peer."""
    recv_queue: int | None = None
    """Of a listener the connections that wait; None if the kernel does not report it."""
    send_queue: int | None = None
    """Of a listener its backlog."""
    uid: int | None = None
    """None if the kernel does not report it, as of TIME_WAIT."""
    user: str = ""
    owner: Owner | None = None
    no_owner: str = ""
    """Why it has none, as KEPT_BY_KERNEL; empty if it has one, or if it is not known."""
    rtt: float | None = None
    """Smoothed round-trip time, from tcp_info."""
    retransmits: int | None = None
    """Segments retransmitted in its life, from tcp_info."""
    sent_ago: float | None = None
    """Since it last sent data, from tcp_info; None also if it never did."""
    received_ago: float | None = None
    peer: int = 0
    """Inode of the peer of a unix socket."""
    netns: str = ""
    """Name of its namespace."""
    container: str = ""
    """The id of the container of its namespace."""


class SocketListDetail(msgspec.Struct, frozen=True, tag="socket-list-detail", tag_field="type"):
    """The first sockets that match, in the order that was asked for, and how many match."""

    at: float
    query: SocketListQuery = msgspec.field(name="focus")
    sockets: tuple[ListedSocket, ...]
    """At most MAX_PARTIAL while the dump runs, then at most MAX_LISTED."""
    matching: int
    read: int
    """Sockets that were read so far, or that the kernel was asked to filter and returned."""
    complete: bool
    """False while the dump runs: a later answer has more."""
    namespaces: int = 1
    """How many namespaces are read in all."""
    namespaces_read: int = 0
    seconds: float = 0.0
    """Processor time so far: a list that costs much is not to be asked for in short intervals."""
    missing: tuple[Missing, ...] = ()
