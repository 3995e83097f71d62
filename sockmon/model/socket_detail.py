"""One socket: what asks for it, and all that the kernel tells about it."""

from __future__ import annotations

import msgspec

from sockmon.model.processes import Owner
from sockmon.model.snapshot import Missing
from sockmon.model.socket_list import ListedSocket, SocketKey


class SocketQuery(msgspec.Struct, frozen=True, tag="socket", tag_field="focus"):
    """Ask about one socket."""

    key: SocketKey


class SocketFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What only the page of a socket shows; None and absent entries: this kernel does not report it."""

    info: dict[str, int] = {}
    """struct tcp_info by the names of the kernel without `tcpi_`; a kernel whose struct is shorter has fewer."""
    memory: dict[str, int] = {}
    """struct sk_meminfo in bytes: rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued, optmem, backlog;
    and drops, which are packets."""
    congestion: str = ""
    """The congestion control algorithm."""
    timer: int | None = None
    """idiag_timer: 0 none, 1 retransmission, 2 keepalive or another, 3 TIME_WAIT, 4 window probe."""
    timer_expires: float | None = None
    """Seconds until it expires."""
    timer_retransmits: int | None = None
    """Retransmissions of the segment that is now sent, or probes."""
    mark: int | None = None
    """SO_MARK; None without CAP_NET_ADMIN."""
    class_id: int | None = None
    """net_cls class, or SO_PRIORITY."""
    tos: int | None = None
    shutdown: int | None = None
    """Bit 1: it receives no more; bit 2: it sends no more."""
    options: tuple[str, ...] = ()
    """Socket options that are set, by their names, as `IP_TRANSPARENT`."""
    ulp: str = ""
    """Upper layer protocol, as `tls` or `mptcp`."""
    v6only: bool | None = None
    cgroup_id: int | None = None
    """Inode of its cgroup (version 2)."""
    cgroup: str = ""
    """The path of that cgroup; empty if it is gone or was not found."""
    device: str = ""
    """The device that it is bound to."""
    kind: str = ""
    """Of unix and packet sockets: stream, dgram, seqpacket, raw."""


class PeerSocket(msgspec.Struct, frozen=True):
    """The other end, found on this host."""

    socket: ListedSocket
    holders: tuple[Owner, ...]


class SocketDetail(msgspec.Struct, frozen=True, tag="socket-detail", tag_field="type"):
    """One socket, the processes that hold it, and its other end if that is on this host."""

    at: float
    query: SocketQuery = msgspec.field(name="focus")
    socket: ListedSocket | None
    """None: it is closed, or its namespace is gone."""
    facts: SocketFacts
    holders: tuple[Owner, ...]
    """All processes that hold it, the owner first."""
    peer: PeerSocket | None
    """None: it has none, or it is not in a namespace that is watched."""
    missing: tuple[Missing, ...]
