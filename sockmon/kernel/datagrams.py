"""Unix datagram sockets that are not read as fast as they are written to, from unix_diag (net/unix/diag.c).

The kernel does not say how many messages wait. It says how long the first one is (a receiver's RQLEN), and how
much memory the unread messages of each sender take (its WQLEN), whose PEER is the receiver. What one message takes
is measured on a pair of sockets of our own.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress
from typing import NamedTuple

from sockmon.kernel import sock_diag
from sockmon.kernel.listeners import (
    NAME,
    PEER,
    RQLEN,
    SHOW_NAME,
    SHOW_PEER,
    SHOW_RQLEN,
    UNIX_MESSAGE,
    numbers,
    unix_name,
)
from sockmon.kernel.netlink import Steps, attributes
from sockmon.kernel.sock_diag import CLOSE, ESTABLISHED, READER
from sockmon.model.snapshot import DatagramQueue

_TYPE, _INODE = 17, 20
_STATES = 1 << ESTABLISHED | 1 << CLOSE
"""A datagram socket is ESTABLISHED once it is connected or was connected to, CLOSE before."""
_SIOCOUTQ = 0x5411
_LARGEST = 4 << 20
_SIZES = 4096
"""Sizes that are remembered at most."""


class Scale:
    """Weighs messages: how much of its sender's buffer one of a given size takes (skb->truesize)."""

    def __init__(self) -> None:
        self._known: dict[int, int | None] = {}
        self._pair: tuple[socket.socket, ...] = ()
        with suppress(OSError):
            self._pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._pair[0].setblocking(False)
            # Clamped to net.core.wmem_max: what does not fit even then is not weighed.
            self._pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)

    def close(self) -> None:
        """Close the pair; safe to call twice."""
        for each in self._pair:
            each.close()

    def weigh(self, size: int) -> int | None:
        """Bytes that a message of `size` bytes takes; None where one so large cannot be sent here."""
        if size not in self._known:
            if len(self._known) >= _SIZES:
                self._known.clear()
            self._known[size] = self._measure(size)
        return self._known[size]

    def _measure(self, size: int) -> int | None:
        if not self._pair:
            return None
        near, far = self._pair
        try:
            near.send(bytes(size))
        except OSError:
            return None
        answer = fcntl.ioctl(near, _SIOCOUTQ, bytes(4))
        far.recv(1)
        return int(struct.unpack("=i", answer)[0]) or None


class _Found(NamedTuple):
    """One datagram socket with something in a queue."""

    inode: int
    peer: int
    first: int
    """Length of the first message that waits for it."""
    unread: int
    """Memory of what it sent and nobody has read."""
    name: bytes


def queues(diag: socket.socket, scale: Scale) -> Steps[tuple[DatagramQueue, ...]]:
    """Receivers with a message waiting, owners and time not yet known; raises Unreadable.

    Only connected senders that are still there can be counted: `waiting` may be less than what waits, never less
    than 1. A sender that blocks counts the message that it cannot get rid of."""
    found: list[_Found] = []

    def absorb(block: bytes, stride: int) -> None:
        types = block[_TYPE::stride]
        place = types.find(socket.SOCK_DGRAM)
        while place >= 0:
            queued = _queued(block[place * stride : (place + 1) * stride])
            found.extend([queued] if queued else [])
            place = types.find(socket.SOCK_DGRAM, place + 1)

    yield from sock_diag.unix(diag, _STATES, SHOW_NAME | SHOW_PEER | SHOW_RQLEN, absorb)
    senders: dict[int, list[_Found]] = {}
    for each in found:
        if each.unread and each.peer:
            senders.setdefault(each.peer, []).append(each)
    return tuple(
        _queue(each, senders.get(each.inode, []), scale)
        for each in found
        # Two that are connected to each other are exempt from the limit (unix_dgram_sendmsg() of af_unix.c).
        if each.first and not any(sender.inode == each.peer for sender in senders.get(each.inode, ()))
    )


def _queued(message: bytes) -> _Found | None:
    """A socket of a dump, if something waits for it or was not read yet."""
    found = attributes(message, UNIX_MESSAGE, READER)
    first, unread = numbers(found.get(RQLEN, b""), 2) or (0, 0)
    if not first and not unread:
        return None
    (peer,) = numbers(found.get(PEER, b""), 1) or (0,)
    inode = int(struct.unpack_from("=I", message, _INODE)[0])
    return _Found(inode, peer, first, unread, found.get(NAME, b""))


def _queue(receiver: _Found, senders: list[_Found], scale: Scale) -> DatagramQueue:
    weight = scale.weigh(receiver.first)
    held = [sender.unread for sender in senders]
    # Nothing to divide by: every sender has sent one message at least.
    waiting = sum(round(each / weight) or 1 for each in held) if weight else len(held)
    return DatagramQueue(
        path=unix_name(receiver.name),
        inode=receiver.inode,
        waiting=max(waiting, 1),
        senders=len(held),
        owner=None,
        # Sizes that differ go unnoticed where their weights happen to add up to a multiple.
        mixed=weight is None or any(each % weight for each in held),
    )
