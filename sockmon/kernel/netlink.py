"""Netlink dumps in small steps: one request, then datagrams until NLMSG_DONE (include/uapi/linux/netlink.h).

A dump keeps its place in the kernel, so a caller may take it at any pace; it may also drop it half-way: what is
left over is told from the next answer by its sequence number.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
from collections.abc import Callable, Generator, Iterator
from enum import Enum
from typing import NamedTuple, TypeVar

from sockmon.errors import Absent, Unreadable

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work in small steps: yields after each read from the kernel, returns the result."""
ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12
"""Netlink protocols: include/uapi/linux/netlink.h."""
Absorb = Callable[[bytes, int], None]
"""Takes messages that all have the same length, one after another, and that length."""

HEADER = struct.Struct("=IHHI4x")
"""struct nlmsghdr: length, type, flags, sequence number."""
ATTRIBUTE = struct.Struct("=HH")
"""struct nlattr: length with this header, type."""

_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DUMP_INTR = 0x10
_ERROR, _DONE, _OVERRUN, _FIRST_DATA = 2, 3, 4, 16
_BUFFER = 65536  # the kernel fills at most 32 KiB of it
_PATIENCE = 5  # seconds
_sequences = itertools.count(1)


def run(steps: Steps[T]) -> T:
    """Drive `steps` to the end at once and give its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def open_netlink(protocol: int) -> socket.socket:
    """A netlink socket in the network namespace of this thread, whose answers are waited for a while; OSError."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _PATIENCE, 0))
    return opened


def open_diag() -> socket.socket:
    """One for sock_diag."""
    return open_netlink(SOCK_DIAG)


def attribute(kind: int, payload: bytes) -> bytes:
    """One struct nlattr, padded to four bytes."""
    return ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(message: bytes, start: int, reader: str) -> dict[int, bytes]:
    """The attributes of one message from offset `start`, by type; raises Unreadable where they overlap its end."""
    found: dict[int, bytes] = {}
    end = len(message)
    while end - start >= 4:
        length, kind = ATTRIBUTE.unpack_from(message, start)
        if length < 4 or length > end - start:
            raise Unreadable(
                reader, f"the kernel sent an attribute of {length} bytes where {end - start} are left"
            )
        found[kind] = message[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def uniform(data: bytes) -> int:
    """The length that all messages of a datagram share, or 0: then their fields are columns of equal stride."""
    if len(data) < 16:
        return 0
    stride = int(HEADER.unpack_from(data)[0])
    if stride < 16 or stride % 4 or len(data) % stride:
        return 0
    count = len(data) // stride
    # Length and type; flags, sequence and sender are the same throughout what one call of the kernel wrote.
    same = all(data[at::stride].count(data[at]) == count for at in range(6))
    return stride if same else 0


def dump(
    netlink: socket.socket, reader: str, kind: int, body: bytes, absorb: Absorb, smallest: int
) -> Steps[None]:
    """Ask for a dump and hand its messages to `absorb`, grouped by length; yields after each datagram.

    `smallest` is the least length of a message that makes sense. Raises Unreadable: the kernel's error by
    name (Absent where it has no such table), no answer, a table that changed meanwhile (NLM_F_DUMP_INTR),
    lengths that cannot be.
    """
    sequence = next(_sequences)
    request = HEADER.pack(16 + len(body), kind, _REQUEST_DUMP, sequence) + body
    _send(netlink, reader, request)
    refused = False
    while True:
        data = _receive(netlink, reader)
        yield
        stride = uniform(data)
        if stride >= smallest and _is_plain(data, sequence):
            absorb(data, stride)
            continue
        sorted_ = _sort(data, sequence, reader)
        for length, messages in sorted_.messages.items():
            if length < smallest or length % 4:
                raise Unreadable(reader, f"the kernel sent a message of {length} bytes, which makes no sense here")
            absorb(b"".join(messages), length)
        refused = refused or sorted_.end is _End.BUSY
        if sorted_.end is _End.DONE:
            return
        if refused and sorted_.end is _End.STALE:
            refused = False
            _send(netlink, reader, request)


class _End(Enum):
    """What a datagram says about the end of a dump."""

    OPEN = 0
    DONE = 1
    BUSY = 2  # an earlier dump, dropped half-way, still runs: the request was refused
    STALE = 3  # that earlier dump has ended


class _Sorted(NamedTuple):
    messages: dict[int, list[bytes]]
    end: _End


def _is_plain(data: bytes, sequence: int) -> bool:
    _, kind, flags, answered = HEADER.unpack_from(data)
    return bool(kind >= _FIRST_DATA and answered == sequence and not flags & _DUMP_INTR)


def _sort(data: bytes, sequence: int, reader: str) -> _Sorted:
    """The messages of a mixed datagram by their length, and whether the dump ends with it."""
    by_length: dict[int, list[bytes]] = {}
    end = _End.OPEN
    for at, length, kind, flags, answered in _messages(data, reader):
        if answered != sequence:
            end = _End.STALE if kind == _DONE and end is _End.OPEN else end
        elif flags & _DUMP_INTR:
            raise Unreadable(reader, "the table changed while it was read")
        elif kind >= _FIRST_DATA:
            by_length.setdefault(length, []).append(data[at : at + length])
        else:
            end = _control(kind, data[at : at + length], reader) or end
    return _Sorted(by_length, end)


def _messages(data: bytes, reader: str) -> Iterator[tuple[int, int, int, int, int]]:
    """Offset, length, type, flags and sequence number of each message."""
    at, end = 0, len(data)
    while at < end:
        if end - at < 16:
            raise Unreadable(reader, f"the kernel's answer ends in {end - at} stray bytes")
        length, kind, flags, sequence = HEADER.unpack_from(data, at)
        if length < 16 or length > end - at:
            raise Unreadable(reader, f"the kernel sent a message of {length} bytes where {end - at} are left")
        yield at, length, kind, flags, sequence
        at += (length + 3) & ~3


def _control(kind: int, message: bytes, reader: str) -> _End | None:
    """What a control message means for the dump; raises Unreadable with the errno's name."""
    if kind == _OVERRUN:
        raise Unreadable(reader, "the kernel lost messages (NLMSG_OVERRUN)")
    if kind not in (_ERROR, _DONE):
        return None
    if len(message) < 20:
        if kind == _DONE:
            return _End.DONE
        raise Unreadable(reader, "the kernel sent an error without a number")
    code = -struct.unpack_from("=i", message, 16)[0]
    if kind == _ERROR and code == errno.EBUSY:
        return _End.BUSY
    if kind == _ERROR or code > 0:
        kind_of_error = Absent if code in (errno.ENOENT, errno.EOPNOTSUPP) else Unreadable
        raise kind_of_error(reader, f"the kernel refuses: {_named(code)}")
    return _End.DONE


def _named(code: int) -> str:
    name = errno.errorcode.get(code)
    return f"{name} ({os.strerror(code)})" if name else f"error {code}"


def _send(netlink: socket.socket, reader: str, request: bytes) -> None:
    try:
        netlink.send(request)
    except OSError as error:
        raise Unreadable(reader, f"cannot ask the kernel: {error.strerror}") from error


def _receive(netlink: socket.socket, reader: str) -> bytes:
    """The next datagram that the kernel itself sent (nl_pid 0)."""
    while True:
        try:
            data, _, flags, sender = netlink.recvmsg(_BUFFER)
        except BlockingIOError as error:
            raise Unreadable(reader, f"the kernel did not answer within {_PATIENCE} s") from error
        except OSError as error:
            raise Unreadable(reader, f"the kernel's answer was lost: {error.strerror}") from error
        if sender[0] != 0:
            continue
        if flags & socket.MSG_TRUNC:
            raise Unreadable(reader, f"the kernel's answer did not fit into {_BUFFER} bytes")
        if not data:
            raise Unreadable(reader, "the kernel's answer was empty")
        return data
