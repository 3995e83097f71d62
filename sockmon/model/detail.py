"""Details on request: a DetailQuery asks the agent about one process, port group or listener, a Detail answers."""

from __future__ import annotations

import msgspec

from sockmon.model.conntrack_flows import FlowDetail, FlowQuery, FlowsDetail, FlowsQuery
from sockmon.model.limit_origin import LimitOrigin
from sockmon.model.netns_rules import NetnsDetail, NetnsQuery
from sockmon.model.process_facts import (
    DescriptorsDetail,
    DescriptorsQuery,
    MemoryDetail,
    MemoryQuery,
    ProcessFacts,
)
from sockmon.model.process_states import ProcessStatesDetail, ProcessStatesQuery
from sockmon.model.snapshot import Listener, Missing, Owner, Process
from sockmon.model.socket_detail import SocketDetail, SocketQuery
from sockmon.model.socket_list import SocketListDetail, SocketListQuery, StopSocketList

MAX_SOCKETS = 500
"""Sockets that a Detail lists at most; `sockets_total` counts all."""


class ProcessQuery(msgspec.Struct, frozen=True, tag="process", tag_field="focus"):
    """Ask about one process."""

    pid: int
    start: int


class GroupQuery(msgspec.Struct, frozen=True, tag="group", tag_field="focus"):
    """Ask about one port group."""

    netns: int
    """Inode of the namespace."""
    source: str
    destination: str
    port: int
    device: str = ""


class ListenerQuery(msgspec.Struct, frozen=True, tag="listener", tag_field="focus"):
    """Ask about one listening socket."""

    netns: int
    inode: int


DetailQuery = (
    ProcessQuery
    | GroupQuery
    | ListenerQuery
    | DescriptorsQuery
    | MemoryQuery
    | ProcessStatesQuery
    | FlowsQuery
    | FlowQuery
    | SocketListQuery
    | SocketQuery
    | NetnsQuery
)


class SetInterval(msgspec.Struct, frozen=True, tag="interval", tag_field="focus"):
    """Ask for another interval between Snapshots."""

    seconds: float


class SetCpuPercent(msgspec.Struct, frozen=True, tag="cpu", tag_field="focus"):
    """Ask for another part of one processor that expensive reads may use."""

    percent: float


class WatchNetns(msgspec.Struct, frozen=True, tag="watch", tag_field="focus"):
    """Ask to sample another network namespace as fully as the own one, until the next request of this kind."""

    netns: int
    """Inode of the namespace; 0: none but the own one."""


Request = DetailQuery | StopSocketList | SetInterval | SetCpuPercent | WatchNetns


class Socket(msgspec.Struct, frozen=True, gc=False):
    """One socket. Queues in bytes (of a listener: connections), times in milliseconds."""

    protocol: str
    """tcp, udp, unix, raw, ..."""
    state: str
    local: str
    """Address and port as `ss` writes them: `10.0.0.5:443`, `[::1]:80`, a unix path."""
    remote: str
    recv_queue: int
    send_queue: int
    rtt: float | None
    """Smoothed round-trip time from tcp_info."""
    retransmits: int | None
    """Segments retransmitted in the socket's life, from tcp_info."""
    uid: int
    inode: int
    owner: Owner | None = None
    cookie: int = 0
    """The kernel's number for an inet socket, never used again; 0: unknown."""
    device: int = 0
    """Index of the device that it is bound to."""


class Limit(msgspec.Struct, frozen=True):
    """A line of /proc/PID/limits; UNLIMITED is -1."""

    name: str
    soft: int
    hard: int
    unit: str


class ProcessDetail(msgspec.Struct, frozen=True, tag="process-detail", tag_field="type"):
    """One process with its sockets, limits and listeners."""

    at: float
    query: ProcessQuery = msgspec.field(name="focus")
    process: Process | None
    """None if it has ended."""
    sockets: tuple[Socket, ...]
    sockets_total: int
    kinds: dict[str, int]
    """Descriptors by kind: socket, file, pipe, eventfd, eventpoll, inotify, ..."""
    limits: tuple[Limit, ...]
    listeners: tuple[Listener, ...]
    maps: int | None
    """Memory maps: lines of /proc/PID/maps without [vsyscall]."""
    cgroup: str
    missing: tuple[Missing, ...]
    recv_queue: int | None = None
    """Bytes that its TCP, UDP and raw sockets have received and it has not read; None if none of its sockets could
    be read."""
    send_queue: int | None = None
    """Bytes that it has written and the peers have not acknowledged, or the device has not sent."""
    origins: tuple[LimitOrigin, ...] = ()
    """What set its limits nofile, nproc and memlock, and where a change of them lasts."""
    facts: ProcessFacts | None = None
    """What it is; None if it has ended."""
    netns: int = 0
    """Inode of the network namespace whose sockets were read: its own. 0: none could be read."""
    states: dict[str, int] = {}
    """Its TCP sockets by state, its other sockets by protocol."""
    remotes: dict[str, int] = {}
    """Its sockets by remote address, the largest 20."""
    remotes_total: int = 0
    accepted: dict[int, int] = {}
    """Connections on the address and port of each of its TCP listeners, by the inode of the listener."""
    connections: int = 0
    """TCP sockets that do not listen; those that are not `accepted` were opened by it."""
    unlisted: int = 0
    """Its sockets that were not found: of other protocols (netlink, packet), neither bound nor connected, or of
    other network namespaces."""
    seconds: float = 0.0
    """Processor time that the answer took: a page asks again only after many times as long."""


class GroupDetail(msgspec.Struct, frozen=True, tag="group-detail", tag_field="type"):
    """The sockets of one port group, and their owners."""

    at: float
    query: GroupQuery = msgspec.field(name="focus")
    sockets: tuple[Socket, ...]
    sockets_total: int
    states: dict[str, int]
    owners: tuple[Owner, ...]
    missing: tuple[Missing, ...]
    seconds: float = 0.0
    """As in a ProcessDetail."""


class ListenerDetail(msgspec.Struct, frozen=True, tag="listener-detail", tag_field="type"):
    """One listener, its owners (several processes can share it), and the connections to its port."""

    at: float
    query: ListenerQuery = msgspec.field(name="focus")
    listener: Listener | None
    """None if it is closed."""
    sockets: tuple[Socket, ...]
    sockets_total: int
    states: dict[str, int]
    remotes: dict[str, int]
    """Connections by remote address, the largest 20."""
    owners: tuple[Owner, ...]
    missing: tuple[Missing, ...]
    seconds: float = 0.0
    """As in a ProcessDetail."""


PolledDetail = ProcessDetail | GroupDetail | ListenerDetail | DescriptorsDetail | FlowsDetail
"""Those that a page asks for again and again; they say how much processor time they took."""
Detail = (
    PolledDetail | MemoryDetail | ProcessStatesDetail | FlowDetail | SocketListDetail | SocketDetail | NetnsDetail
)
