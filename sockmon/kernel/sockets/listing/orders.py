"""What the list is sorted by: a key for every socket of a block, or for one row. Unknown keys (None) come last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sockmon.kernel.sockets.listing.block import RTT, TOTAL_RETRANS, Block, state_name
from sockmon.model.snapshot import Process
from sockmon.model.socket_list import ListedSocket, SocketListQuery

INFO_SORTS = ("rtt", "retrans", "sent", "received")
"""Orders for which a dump must contain struct tcp_info."""
OwnerOf = Callable[[int], "Process | None"]
"""Returns the process that holds the socket of an inode."""


def largest_first(query: SocketListQuery) -> bool:
    """Return whether the largest keys come first: without a chosen order always."""
    return query.reverse or not query.sort


def block_keys(block: Block, sort: str, owner_of: OwnerOf) -> list[Any]:
    """Return the key of every socket of a block."""
    columns: dict[str, Callable[[], list[Any]]] = {
        "": lambda: block.waiting,
        "state": lambda: [state_name(block.protocol, state) for state in block.states],
        "local": lambda: block.ends(remote=False),
        "remote": lambda: block.ends(remote=True),
        "recvq": lambda: block.recv_queues,
        "sendq": lambda: block.send_queues,
        "owner": lambda: [_owner_key(owner_of(inode)) if inode else None for inode in block.inodes],
        "rtt": lambda: [rtt or None for rtt in block.info(RTT)],
        "retrans": lambda: block.info(TOTAL_RETRANS),
        "sent": lambda: block.ages(sent=True),
        "received": lambda: block.ages(sent=False),
        "proto": lambda: [block.protocol] * block.count,
    }
    return columns.get(sort, columns[""])()


def row_key(row: ListedSocket, sort: str, owner_of: OwnerOf) -> Any:
    """Return the key of a unix or packet socket, which has no columns."""
    if sort == "state":
        return row.state
    if sort == "proto":
        return row.key.protocol
    if sort in ("local", "remote"):
        text = row.local if sort == "local" else row.remote
        return b"\xff" + text.encode() if text else None
    if sort == "owner":
        return _owner_key(owner_of(row.key.inode)) if row.key.inode else None
    if sort in ("recvq", "sendq"):
        return row.recv_queue if sort == "recvq" else row.send_queue
    if sort in INFO_SORTS:
        return None
    return (row.recv_queue or 0) + (0 if row.state == "LISTEN" else row.send_queue or 0)


def _owner_key(owner: Process | None) -> tuple[str, int] | None:
    return (owner.name, owner.pid) if owner else None
