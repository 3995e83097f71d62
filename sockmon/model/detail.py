"""What is fetched on demand: a Focus asks the agent about one thing, a Detail answers."""

from __future__ import annotations

import msgspec

from sockmon.model.snapshot import Listener, Missing, Owner, Process

ROWS = 500
"""Sockets that a Detail lists at most; `total` says how many there are."""


class ProcessFocus(msgspec.Struct, frozen=True, tag="process", tag_field="focus"):
    """Ask about one process."""

    pid: int
    start: int


class GroupFocus(msgspec.Struct, frozen=True, tag="group", tag_field="focus"):
    """Ask about one group of ports."""

    netns: int
    """Inode of the namespace."""
    source: str
    destination: str
    port: int


class ListenerFocus(msgspec.Struct, frozen=True, tag="listener", tag_field="focus"):
    """Ask about one listening socket."""

    netns: int
    inode: int


Focus = ProcessFocus | GroupFocus | ListenerFocus


class SetInterval(msgspec.Struct, frozen=True, tag="interval", tag_field="focus"):
    """Ask for Snapshots at another pace, in seconds."""

    seconds: float


Request = ProcessFocus | GroupFocus | ListenerFocus | SetInterval


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


class Limit(msgspec.Struct, frozen=True):
    """A line of /proc/PID/limits; UNLIMITED is -1."""

    name: str
    soft: int
    hard: int
    unit: str


class ProcessDetail(msgspec.Struct, frozen=True, tag="process-detail", tag_field="type"):
    """One process, seen whole."""

    at: float
    focus: ProcessFocus
    process: Process | None
    """None: it has ended."""
    sockets: tuple[Socket, ...]
    sockets_total: int
    kinds: dict[str, int]
    """Descriptors by kind: socket, file, pipe, eventfd, eventpoll, inotify, ..."""
    limits: tuple[Limit, ...]
    listeners: tuple[Listener, ...]
    maps: int | None
    """Memory maps: lines of /proc/PID/maps, less [vsyscall]."""
    cgroup: str
    missing: tuple[Missing, ...]


class GroupDetail(msgspec.Struct, frozen=True, tag="group-detail", tag_field="type"):
    """The sockets of one group of ports, and who owns them."""

    at: float
    focus: GroupFocus
    sockets: tuple[Socket, ...]
    sockets_total: int
    states: dict[str, int]
    owners: tuple[Owner, ...]
    missing: tuple[Missing, ...]


class ListenerDetail(msgspec.Struct, frozen=True, tag="listener-detail", tag_field="type"):
    """One listener, its owners (several processes can share it), and the connections to its port."""

    at: float
    focus: ListenerFocus
    listener: Listener | None
    """None: it is closed."""
    sockets: tuple[Socket, ...]
    sockets_total: int
    states: dict[str, int]
    remotes: dict[str, int]
    """Connections by remote address, the largest 20."""
    owners: tuple[Owner, ...]
    missing: tuple[Missing, ...]


Detail = ProcessDetail | GroupDetail | ListenerDetail
