"""The data that waits in sockets, and the processes that hold it: parts of a Snapshot. Sizes in bytes."""

from __future__ import annotations

import msgspec

from sockmon.model.processes import Owner

MIN_PAGES = 256
"""Pages of TCP memory of the host from which on the sockets with data are searched for."""


class QueueOwner(msgspec.Struct, frozen=True):
    """The data in the sockets of one process."""

    owner: Owner
    """`sockets`: those with data."""
    recv_queue: int
    """Received, and not read by the process."""
    send_queue: int
    """Written by the process, and not acknowledged by the peers."""
    memory: int | None
    """As the kernel charges it; None if the kernel does not report it."""


class QueuedSocket(msgspec.Struct, frozen=True):
    """One TCP socket with a long queue."""

    local: str
    """Address and port as `ss` writes them."""
    remote: str
    state: str
    recv_queue: int
    send_queue: int
    zero_window: bool
    """True if it probes the peer, which has closed its window: the peer does not read."""
    retransmits: int
    """Retransmissions, or probes, that the peer has not answered."""
    received_ago: float | None
    """Seconds since data last arrived: what is in the receive queue has waited for so long at least."""
    sent_ago: float | None
    """Seconds since data was last sent."""
    owner: Owner | None = None
    """None if it is not known, or no process holds it."""
    peer: Owner | None = None
    """The process at the other end, if that is in the same namespace and has data that waits."""


class TcpQueues(msgspec.Struct, frozen=True):
    """The data that waits in the TCP sockets of a namespace."""

    at: float
    recv_queue: int
    send_queue: int
    memory: int | None
    """As the kernel charges it, with overhead; None if the kernel does not report it."""
    sockets: int
    """Sockets with data."""
    owners: tuple[QueueOwner, ...]
    """Those with the most memory first, at most 10."""
    orphaned: int
    """Bytes of `memory` in sockets that no process holds any more."""
    unowned: int
    """Bytes of `memory` in sockets whose owners are not known."""
    largest: tuple[QueuedSocket, ...]
    """The longest receive queues, then the longest send queues, at most 5 each."""


class OrphanGroup(msgspec.Struct, frozen=True):
    """Sockets that no process holds and whose FIN is not acknowledged, by local port and peer."""

    port: int
    remote: str
    """Address of the peer."""
    sockets: int
    send_queue: int
