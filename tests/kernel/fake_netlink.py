"""A kernel that answers as a test has written: answers that the real one cannot be made to give on demand."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from typing import cast

Datagram = tuple[bytes, int, int]
"""Bytes, recvmsg flags, sender's nl_pid."""
Reply = Callable[[int], list[Datagram]]
"""Returns the datagrams that answer a request with this sequence number."""


class FakeNetlink:
    """Answers each request with the next reply; without a reply left it times out as SO_RCVTIMEO does."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.queue: list[Datagram] = []
        self.requests: list[bytes] = []

    def send(self, request: bytes) -> int:
        """Receive a request."""
        self.requests.append(request)
        sequence = struct.unpack_from("=I", request, 8)[0]
        if self.replies:
            self.queue += self.replies.pop(0)(sequence)
        return len(request)

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        """Return the next datagram."""
        if not self.queue:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        data, flags, sender = self.queue.pop(0)
        return data[:size], [], flags, (sender, 0)


def fake(*replies: Reply) -> socket.socket:
    """Return the same as a socket."""
    return cast(socket.socket, FakeNetlink(*replies))


def plain(*datagrams: Callable[[int], bytes]) -> Reply:
    """Return datagrams of the kernel, untruncated; each is made for the sequence number."""
    return lambda sequence: [(made(sequence), 0, 0) for made in datagrams]


def message(kind: int, payload: bytes, flags: int = 2) -> Callable[[int], bytes]:
    """Return one netlink message."""
    return lambda sequence: struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 77) + payload


def done(code: int = 0, flags: int = 2) -> Callable[[int], bytes]:
    """Return NLMSG_DONE."""
    return message(3, struct.pack("=i", code), flags)


def error(code: int) -> Callable[[int], bytes]:
    """Return NLMSG_ERROR with the errno `code`."""
    return message(2, struct.pack("=i", -code) + bytes(16))


def tcp_socket(
    family: int = 2, state: int = 1, sport: int = 40000, dport: int = 80, inode: int = 7, extra: bytes = b""
) -> Callable[[int], bytes]:
    """Return struct inet_diag_msg with loopback addresses, then attributes."""
    one = (bytes([127, 0, 0, 1]) if family == 2 else bytes(15) + b"\1").ljust(16, b"\0")
    head = struct.pack("=BBBB", family, state, 0, 0) + struct.pack("!HH", sport, dport) + one + one
    return message(18, head + bytes(12) + struct.pack("=IIIII", 0, 0, 0, 0, inode) + extra)


def joined(*made: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return several messages in one datagram."""
    return lambda sequence: b"".join(each(sequence) for each in made)
