"""Unix datagram sockets whose messages are not read as fast as they are sent, from unix_diag (net/unix/diag.c).

The kernel does not show how many messages wait. It shows the length of the first one (a receiver's RQLEN) and how
much memory the unread messages of each sender take (its WQLEN), whose PEER is the receiver. What one message takes
is measured on a pair of sockets of our own.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.netlink import Incremental, attributes
from sockmon.kernel.sockets import sock_diag, unix_diag
from sockmon.kernel.sockets.sock_diag import CLOSE, ESTABLISHED, READER, Diag, TextDiag
from sockmon.model.snapshot import DatagramQueue

_STATES = 1 << ESTABLISHED | 1 << CLOSE
"""A datagram socket is ESTABLISHED once it is connected or was connected to, CLOSE before."""
_SHOW = unix_diag.SHOW_NAME | unix_diag.SHOW_FILE | unix_diag.SHOW_PEER | unix_diag.SHOW_RQLEN
_SIOCOUTQ = 0x5411
_SEND_BUFFER_BYTES = 4 << 20
_MAX_CACHED_SIZES = 4096
"""Sizes that are cached at most."""


class MessageSizer:
    """Measures how much of its sender's buffer a message of a given size takes (skb->truesize)."""

    def __init__(self, keeps_open: bool = True) -> None:
        """`keeps_open`: False opens the sockets for each measurement."""
        self._known: dict[int, int | None] = {}
        self._pair: tuple[socket.socket, ...] = ()
        self._keeps_open = keeps_open
        if keeps_open:
            self._open()

    def _open(self) -> None:
        with suppress(OSError):
            self._pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._pair[0].setblocking(False)
            # Clamped to net.core.wmem_max: a message that does not fit even then is not measured.
            self._pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

    def close(self) -> None:
        """Close the pair; safe to call twice."""
        for each in self._pair:
            each.close()
        self._pair = ()

    def truesize(self, size: int) -> int | None:
        """Return the bytes that a message of `size` bytes takes; None if one so large cannot be sent here."""
        if size not in self._known:
            if len(self._known) >= _MAX_CACHED_SIZES:
                self._known.clear()
            if not self._keeps_open:
                self._open()
            self._known[size] = self._measure(size)
            if not self._keeps_open:
                self.close()
        return self._known[size]

    def _measure(self, size: int) -> int | None:
        if not self._pair:
            return None
        sender, receiver = self._pair
        try:
            sender.send(bytes(size))
        except OSError:
            return None
        answer = fcntl.ioctl(sender, _SIOCOUTQ, bytes(4))
        receiver.recv(1)
        return int(struct.unpack("=i", answer)[0]) or None


class _QueuedSocket(NamedTuple):
    """One datagram socket with something in a queue."""

    inode: int
    peer: int
    first: int
    """Length of the first message that waits for it."""
    unread: int
    """Memory of its messages that have not been read."""
    name: bytes
    file: int
    """Inode of the file that it is bound to; 0 if there is none."""


class Receiver(NamedTuple):
    """A queue, with what is needed to ask the kernel about it."""

    queue: DatagramQueue
    name: bytes
    file: int
    senders: tuple[int, ...]
    """Inodes of the sockets with unread messages that are connected to it."""


class QueueScan(NamedTuple):
    """All queues of one dump."""

    receivers: tuple[Receiver, ...]
    unconnected: tuple[int, ...]
    """Inodes of the sockets with unread messages that are not connected: the kernel does not show for whom."""


def read_queues(diag: Diag, sizer: MessageSizer) -> Incremental[QueueScan]:
    """Return the receivers with a waiting message, without owners and times; raise ReadError.

    Only connected senders that still exist can be counted: `waiting` may be too small, but is at least 1. A
    blocked sender counts the message that it cannot send."""
    if isinstance(diag, TextDiag):
        raise ReadError("datagrams", "/proc/net/unix shows no queues")
    found: list[_QueuedSocket] = []

    def absorb(block: bytes, stride: int) -> None:
        types = block[unix_diag.TYPE :: stride]
        index = types.find(socket.SOCK_DGRAM)
        while index >= 0:
            queued = _queued(block[index * stride : (index + 1) * stride])
            found.extend([queued] if queued else [])
            index = types.find(socket.SOCK_DGRAM, index + 1)

    yield from sock_diag.unix(diag, _STATES, _SHOW, absorb)
    senders: dict[int, list[_QueuedSocket]] = {}
    for each in found:
        if each.unread and each.peer:
            senders.setdefault(each.peer, []).append(each)
    receivers = tuple(
        _receiver(each, senders.get(each.inode, []), sizer)
        for each in found
        # Two that are connected to each other are exempt from the limit (unix_dgram_sendmsg() of af_unix.c).
        if each.first and not any(sender.inode == each.peer for sender in senders.get(each.inode, ()))
    )
    return QueueScan(receivers, tuple(each.inode for each in found if each.unread and not each.peer))


def _queued(message: bytes) -> _QueuedSocket | None:
    """Return a socket of a dump if something waits for it, or it has sent what is unread; else None."""
    found = attributes(message, unix_diag.MESSAGE, READER)
    first, unread = unix_diag.numbers(found.get(unix_diag.RQLEN, b""), 2) or (0, 0)
    if not first and not unread:
        return None
    (peer,) = unix_diag.numbers(found.get(unix_diag.PEER, b""), 1) or (0,)
    inode = unix_diag.inode(message)
    (file,) = unix_diag.numbers(found.get(unix_diag.FILE, b""), 1) or (0,)
    return _QueuedSocket(inode, peer, first, unread, found.get(unix_diag.NAME, b""), file)


def _receiver(receiver: _QueuedSocket, senders: list[_QueuedSocket], sizer: MessageSizer) -> Receiver:
    inodes = tuple(sender.inode for sender in senders)
    return Receiver(_queue(receiver, senders, sizer), receiver.name, receiver.file, inodes)


def _queue(receiver: _QueuedSocket, senders: list[_QueuedSocket], sizer: MessageSizer) -> DatagramQueue:
    size = sizer.truesize(receiver.first)
    held = [sender.unread for sender in senders]
    # Without a size every sender counts one message, which is the least it has sent.
    waiting = sum(round(each / size) or 1 for each in held) if size else len(held)
    return DatagramQueue(
        path=unix_diag.format_name(receiver.name),
        inode=receiver.inode,
        waiting=max(waiting, 1),
        senders=len(held),
        owner=None,
        # Different sizes are not noticed if their sum happens to be a multiple.
        mixed=size is None or any(each % size for each in held),
    )
