"""Listening sockets and their accept queues: rqueue and wqueue of a socket in LISTEN (net/ipv4/tcp_diag.c)."""

from __future__ import annotations

import socket
import struct

from sockmon.kernel import sock_diag
from sockmon.kernel.netlink import Steps, attributes
from sockmon.kernel.sock_diag import LISTEN, READER
from sockmon.model.clean import clean
from sockmon.model.snapshot import Listener

UNIX_MESSAGE = 32
"""struct nlmsghdr and struct unix_diag_msg: where the attributes of a unix socket start."""
NAME, PEER, RQLEN, UID = 0, 2, 4, 7
SHOW_NAME, SHOW_PEER, SHOW_RQLEN, SHOW_UID = 1, 4, 16, 64

_TAIL = struct.Struct("=IIII")  # rqueue, wqueue, uid, inode


def listeners(diag: socket.socket) -> Steps[tuple[Listener, ...]]:
    """TCP listeners of both families, owners not yet known; raises Unreadable. Cheap: a hash of their own."""
    found: list[Listener] = []

    def absorb(block: bytes, stride: int) -> None:
        found.extend(_listener(block, at) for at in range(0, len(block), stride))

    yield from sock_diag.tcp(diag, 1 << LISTEN, absorb)
    return tuple(found)


def _listener(block: bytes, at: int) -> Listener:
    source, _ = sock_diag.addresses(block, at)
    port = int.from_bytes(block[at + sock_diag.SPORT : at + sock_diag.SPORT + 2], "big")
    queue, backlog, uid, inode = _TAIL.unpack_from(block, at + sock_diag.RQUEUE)
    return Listener("tcp", sock_diag.text(source), port, queue, backlog, inode, uid, None)


def unix_listeners(diag: socket.socket) -> Steps[tuple[Listener, ...]]:
    """Listening unix sockets of the namespace, by path (`@` leads an abstract name); raises Unreadable.

    `uid` is -1 on kernels before 5.3, which do not tell it."""
    found: list[Listener] = []

    def absorb(block: bytes, stride: int) -> None:
        found.extend(_unix_listener(block[at : at + stride]) for at in range(0, len(block), stride))

    yield from sock_diag.unix(diag, 1 << LISTEN, SHOW_NAME | SHOW_RQLEN | SHOW_UID, absorb)
    return tuple(found)


def _unix_listener(message: bytes) -> Listener:
    found = attributes(message, UNIX_MESSAGE, READER)
    queue, backlog = numbers(found.get(RQLEN, b""), 2) or (0, 0)
    uid = numbers(found.get(UID, b""), 1) or (-1,)
    inode = int(struct.unpack_from("=I", message, 20)[0])
    return Listener("unix", unix_name(found.get(NAME, b"")), 0, queue, backlog, inode, uid[0], None)


def numbers(payload: bytes, count: int) -> tuple[int, ...]:
    """The first `count` u32 of an attribute; empty where it is shorter."""
    return struct.unpack_from(f"={count}I", payload) if len(payload) >= 4 * count else ()


def unix_name(name: bytes) -> str:
    """A unix socket's name as text: a path, `@` and the name of an abstract one, empty for none."""
    if name.startswith(b"\0"):
        return "@" + clean(name[1:])
    return clean(name.partition(b"\0")[0])
