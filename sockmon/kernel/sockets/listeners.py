"""Listening sockets and their accept queues: rqueue and wqueue of a socket in LISTEN (net/ipv4/tcp_diag.c)."""

from __future__ import annotations

from sockmon.errors import ReadError
from sockmon.kernel.netlink import Incremental, attributes
from sockmon.kernel.sockets import sk_meminfo, sock_diag, unix_diag
from sockmon.kernel.sockets.sock_diag import LISTEN, READER, UNKNOWN, Diag, TextDiag
from sockmon.model.snapshot import Listener


def listeners(diag: Diag) -> Incremental[tuple[Listener, ...]]:
    """Return the TCP listeners of both families, without owners; raise ReadError. Cheap: they have their own
    hash."""
    found: list[Listener] = []

    def absorb(block: bytes, stride: int) -> None:
        start = sk_meminfo.find(block, stride)
        found.extend(_listener(block[at : at + stride], start) for at in range(0, len(block), stride))

    yield from sock_diag.tcp(diag, 1 << LISTEN, absorb, extensions=sk_meminfo.REQUEST)
    return tuple(found)


def _listener(message: bytes, start: int | None) -> Listener:
    """Return one listener; `start`: where its struct sk_meminfo begins, None if it has none."""
    source, _ = sock_diag.addresses(message)
    port = sock_diag.local_port(message)
    queue, backlog, uid, inode = sock_diag.QUEUES.unpack_from(message, sock_diag.RQUEUE)
    known = None if backlog == UNKNOWN else backlog
    drops = None if start is None else sk_meminfo.value(message, start, sk_meminfo.DROPS)
    address = sock_diag.format_address(source)
    return Listener("tcp", address, port, queue, known, inode, uid, None, drops=drops)


def unix_listeners(diag: Diag) -> Incremental[tuple[Listener, ...]]:
    """Return the listening unix sockets of the namespace, by path (an abstract name begins with `@`); raise
    ReadError.

    `uid` is -1 on kernels before 5.3, which do not show it."""
    if isinstance(diag, TextDiag):
        raise ReadError("unix listeners", "/proc/net/unix shows no queues, and its rows can be forged")
    found: list[Listener] = []

    def absorb(block: bytes, stride: int) -> None:
        found.extend(_unix_listener(block[at : at + stride]) for at in range(0, len(block), stride))

    yield from sock_diag.unix(
        diag, 1 << LISTEN, unix_diag.SHOW_NAME | unix_diag.SHOW_RQLEN | unix_diag.SHOW_UID, absorb
    )
    return tuple(found)


def _unix_listener(message: bytes) -> Listener:
    found = attributes(message, unix_diag.MESSAGE, READER)
    queue, backlog = unix_diag.numbers(found.get(unix_diag.RQLEN, b""), 2) or (0, 0)
    uid = unix_diag.numbers(found.get(unix_diag.UID, b""), 1) or (-1,)
    inode = unix_diag.inode(message)
    return Listener(
        "unix", unix_diag.format_name(found.get(unix_diag.NAME, b"")), 0, queue, backlog, inode, uid[0], None
    )


def unix_queues(diag: Diag) -> Incremental[dict[int, tuple[int, int]]]:
    """Return queue and backlog of the listening unix sockets of the namespace, by inode; raise ReadError."""
    if isinstance(diag, TextDiag):
        raise ReadError("unix listeners", "/proc/net/unix shows no queues")
    found: dict[int, tuple[int, int]] = {}

    def absorb(block: bytes, stride: int) -> None:
        for at in range(0, len(block), stride):
            message = block[at : at + stride]
            lengths = attributes(message, unix_diag.MESSAGE, READER).get(unix_diag.RQLEN, b"")
            queue, backlog = unix_diag.numbers(lengths, 2) or (0, 0)
            found[unix_diag.inode(message)] = (queue, backlog)

    yield from sock_diag.unix(diag, 1 << LISTEN, unix_diag.SHOW_RQLEN, absorb)
    return found
