"""Netlink dumps in small steps: one request, then datagrams until NLMSG_DONE (include/uapi/linux/netlink.h).

The kernel keeps the position of a dump, so a caller may read it at any pace and may stop half-way: what is left
over differs from the next answer by its sequence number.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import Enum
from itertools import compress
from operator import not_
from typing import NamedTuple, TypeVar

from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel.errnos import FORBIDDEN

T = TypeVar("T")
Incremental = Generator[None, None, T]
"""Work in small steps: yields after each read from the kernel, and returns the result."""
ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12
"""Netlink protocols: include/uapi/linux/netlink.h."""
BlockHandler = Callable[[bytes, int], None]
"""Receives a block of messages that all have one length, and that length."""

HEADER = struct.Struct("=IHHI4x")
"""struct nlmsghdr: length, type, flags, sequence number."""
ATTRIBUTE = struct.Struct("=HH")
"""struct nlattr: length with this header, type."""

NESTED = 0x8000
"""NLA_F_NESTED: the bit in the type of an attribute that holds others."""
_ATTRIBUTE_TYPE = 0x3FFF  # the two bits above are NLA_F_NESTED and NLA_F_NET_BYTEORDER
_LOW_BYTE = 0 if sys.byteorder == "little" else 1
_REQUEST, _ACK = 1, 4  # NLM_F_REQUEST, NLM_F_ACK
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DUMP_INTR = 0x10
_ERROR, _DONE, _OVERRUN, _FIRST_DATA = 2, 3, 4, 16
_BUFFER_BYTES = 65536  # the kernel fills at most 32 KiB of it
_TRUNCATED = int(socket.MSG_TRUNC)  # an IntFlag takes ten times as long to test
_TIMEOUT_SECONDS = 5
_sequences = itertools.count(1)


def run(steps: Generator[object, None, T]) -> T:
    """Run `steps` to the end at once and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def open_netlink(protocol: int = SOCK_DIAG) -> socket.socket:
    """Return a netlink socket in the network namespace of this thread, with a receive timeout; raise OSError."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _TIMEOUT_SECONDS, 0))
    return opened


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one struct nlattr, padded to four bytes."""
    return ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attribute_slots(message: bytes, start: int, end: int, reader: str) -> dict[int, tuple[int, int]]:
    """Return start and end of the payload of each attribute in message[start:end], by type; raise ReadError if one
    does not fit."""
    slots: dict[int, tuple[int, int]] = {}
    while end - start >= 4:
        length, kind = ATTRIBUTE.unpack_from(message, start)
        if length < 4 or length > end - start:
            raise ReadError(reader, f"the kernel sent an attribute of {length} bytes, but {end - start} are left")
        slots[kind & _ATTRIBUTE_TYPE] = (start + 4, start + length)
        start += (length + 3) & ~3
    return slots


def attributes(message: bytes, start: int, reader: str) -> dict[int, bytes]:
    """Return the attributes of one message from offset `start`, by type; raise ReadError if one does not fit."""
    slots = attribute_slots(message, start, len(message), reader)
    return {kind: message[begin:end] for kind, (begin, end) in slots.items()}


def attribute_list(message: bytes, start: int, reader: str) -> list[tuple[int, bytes]]:
    """Return type and payload of each attribute of one message from offset `start`, in order: a list repeats a
    type; raise ReadError if one does not fit."""
    found = []
    while len(message) - start >= 4:
        length, kind = ATTRIBUTE.unpack_from(message, start)
        if length < 4 or length > len(message) - start:
            raise ReadError(
                reader, f"the kernel sent an attribute of {length} bytes, but {len(message) - start} are left"
            )
        found.append((kind & _ATTRIBUTE_TYPE, message[start + 4 : start + length]))
        start += (length + 3) & ~3
    return found


def split_alike(messages: bytes, length: int, slots: Iterable[tuple[int, int]]) -> tuple[bytes, bytes]:
    """Return the messages of a block that have the same attributes in `slots` as the first one, and the others."""
    starts = [at for begin, _ in slots for at in (begin - 4 + _LOW_BYTE, begin - 2 + _LOW_BYTE)]
    columns = [messages[at::length] for at in starts]
    count = len(messages) // length
    if all(column.count(column[0]) == count for column in columns):
        return messages, b""
    headers = list(zip(*columns, strict=True))
    alike = [header == headers[0] for header in headers]
    found = [messages[at : at + length] for at in range(0, len(messages), length)]
    return b"".join(compress(found, alike)), b"".join(compress(found, map(not_, alike)))


def common_length(data: bytes) -> int:
    """Return the length that all messages of a datagram have, or 0; with one length their fields are columns of
    equal stride."""
    if len(data) < 16:
        return 0
    stride = int(HEADER.unpack_from(data)[0])
    if stride < 16 or stride % 4 or len(data) % stride:
        return 0
    count = len(data) // stride
    # Length and type; flags, sequence and sender are the same in all that one call of the kernel wrote.
    same = all(data[at::stride].count(data[at]) == count for at in range(6))
    return stride if same else 0


def dump(
    netlink: socket.socket, reader: str, kind: int, body: bytes, absorb: BlockHandler, smallest: int
) -> Incremental[None]:
    """Request a dump and hand its messages to `absorb`, grouped by length; yield after each datagram.

    `smallest` is the least valid length of a message. Raise ReadError: the kernel's error by name (NotPresent if
    it has no such table), no answer in time, a table that changed meanwhile (NLM_F_DUMP_INTR), invalid lengths."""
    sequence = next(_sequences)
    request = HEADER.pack(16 + len(body), kind, _REQUEST_DUMP, sequence) + body
    _send(netlink, reader, request)
    refused = False
    while True:
        data = _receive(netlink, reader)
        yield
        stride = common_length(data)
        if stride >= smallest and _is_plain(data, sequence):
            absorb(data, stride)
            continue
        sorted_ = _split_messages(data, sequence, reader)
        for length, messages in sorted_.messages.items():
            if length < smallest or length % 4:
                raise ReadError(
                    reader, f"the kernel sent a message of {length} bytes, which is not a valid length"
                )
            absorb(b"".join(messages), length)
        refused = refused or sorted_.end is _End.BUSY
        if sorted_.end is _End.DONE:
            return
        if refused and sorted_.end is _End.STALE:
            refused = False
            _send(netlink, reader, request)


def dump_in_order(
    netlink: socket.socket, reader: str, kind: int, body: bytes, absorb: Callable[[bytes], None]
) -> Incremental[None]:
    """Request a dump and hand its messages to `absorb` one by one, in the kernel's order; raise as `dump`.

    For tables that are short, or whose order means something, such as the rules of a chain."""
    sequence = next(_sequences)
    request = HEADER.pack(16 + len(body), kind, _REQUEST_DUMP, sequence) + body
    _send(netlink, reader, request)
    refused = False
    while True:
        data = _receive(netlink, reader)
        yield
        for at, length, found, flags, answered in _messages(data, reader):
            if answered != sequence:
                if refused and found == _DONE:
                    refused = False
                    _send(netlink, reader, request)
            elif flags & _DUMP_INTR:
                raise ReadError(reader, "the table changed while it was read")
            elif found >= _FIRST_DATA:
                absorb(data[at : at + length])
            else:
                end = _control_message(found, data[at : at + length], reader)
                if end is _End.DONE:
                    return
                refused = refused or end is _End.BUSY


def request_one(netlink: socket.socket, reader: str, kind: int, body: bytes) -> bytes | None:
    """Return the kernel's one answer to a request that is not a dump; None if there is no such thing; raise
    ReadError."""
    sequence = next(_sequences)
    _send(netlink, reader, HEADER.pack(16 + len(body), kind, _REQUEST, sequence) + body)
    while True:
        data = _receive(netlink, reader)
        for at, length, found, _, answered in _messages(data, reader):
            if answered != sequence:
                continue
            if found >= _FIRST_DATA:
                return data[at : at + length]
            try:
                _control_message(found, data[at : at + length], reader)
            except NotPresent:
                return None


def execute(netlink: socket.socket, reader: str, kind: int, body: bytes) -> int:
    """Send a request that changes something; return 0, or the errno with which the kernel refuses it. Raise
    ReadError if it cannot be sent, or if the answer is lost."""
    sequence = next(_sequences)
    _send(netlink, reader, HEADER.pack(16 + len(body), kind, _REQUEST | _ACK, sequence) + body)
    while True:
        data = _receive(netlink, reader)
        for at, length, found, _, answered in _messages(data, reader):
            if answered == sequence and found == _ERROR and length >= 20:
                return int(-struct.unpack_from("=i", data, at + 16)[0])


class _End(Enum):
    """What a datagram says about the end of a dump."""

    OPEN = 0
    DONE = 1
    BUSY = 2  # an earlier dump, stopped half-way, still runs: the request was refused
    STALE = 3  # that earlier dump has ended


class _SplitMessages(NamedTuple):
    messages: dict[int, list[bytes]]
    end: _End


def _is_plain(data: bytes, sequence: int) -> bool:
    _, kind, flags, answered = HEADER.unpack_from(data)
    return bool(kind >= _FIRST_DATA and answered == sequence and not flags & _DUMP_INTR)


def _split_messages(data: bytes, sequence: int, reader: str) -> _SplitMessages:
    """Return the messages of a mixed datagram by their length, and whether the dump ends with it."""
    by_length: dict[int, list[bytes]] = {}
    end = _End.OPEN
    for at, length, kind, flags, answered in _messages(data, reader):
        if answered != sequence:
            end = _End.STALE if kind == _DONE and end is _End.OPEN else end
        elif flags & _DUMP_INTR:
            raise ReadError(reader, "the table changed while it was read")
        elif kind >= _FIRST_DATA:
            by_length.setdefault(length, []).append(data[at : at + length])
        else:
            end = _control_message(kind, data[at : at + length], reader) or end
    return _SplitMessages(by_length, end)


def _messages(data: bytes, reader: str) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield offset, length, type, flags and sequence number of each message."""
    at, end = 0, len(data)
    while at < end:
        if end - at < 16:
            raise ReadError(reader, f"the kernel's answer ends in {end - at} stray bytes")
        length, kind, flags, sequence = HEADER.unpack_from(data, at)
        if length < 16 or length > end - at:
            raise ReadError(reader, f"the kernel sent a message of {length} bytes, but {end - at} are left")
        yield at, length, kind, flags, sequence
        at += (length + 3) & ~3


def _control_message(kind: int, message: bytes, reader: str) -> _End | None:
    """Return what a control message means for the dump; raise ReadError with the name of the errno."""
    if kind == _OVERRUN:
        raise ReadError(reader, "the kernel lost messages (NLMSG_OVERRUN)")
    if kind not in (_ERROR, _DONE):
        return None
    if len(message) < 20:
        if kind == _DONE:
            return _End.DONE
        raise ReadError(reader, "the kernel sent an error without a number")
    code = -struct.unpack_from("=i", message, 16)[0]
    if kind == _ERROR and code == errno.EBUSY:
        return _End.BUSY
    if kind == _ERROR or code > 0:
        error = _error_type(code)(reader, f"the kernel refuses: {_errno_text(code)}")
        error.code = code
        raise error
    return _End.DONE


def _error_type(code: int) -> type[ReadError]:
    if code in (errno.ENOENT, errno.EOPNOTSUPP, errno.ECONNREFUSED):
        return NotPresent
    return Forbidden if code in FORBIDDEN else ReadError


def _errno_text(code: int) -> str:
    name = errno.errorcode.get(code)
    return f"{name} ({os.strerror(code)})" if name else f"error {code}"


def _send(netlink: socket.socket, reader: str, request: bytes) -> None:
    try:
        netlink.send(request)
    except OSError as error:
        raise _error_type(error.errno or 0)(reader, f"cannot ask the kernel: {error.strerror}") from error


def _receive(netlink: socket.socket, reader: str) -> bytes:
    """Return the next datagram from the kernel itself (nl_pid 0)."""
    while True:
        try:
            data, _, flags, sender = netlink.recvmsg(_BUFFER_BYTES)
        except BlockingIOError as error:
            raise ReadError(reader, f"the kernel did not answer within {_TIMEOUT_SECONDS} s") from error
        except OSError as error:
            raise ReadError(reader, f"the kernel's answer was lost: {error.strerror}") from error
        if sender[0] != 0:
            continue
        if flags & _TRUNCATED:
            raise ReadError(reader, f"the kernel's answer did not fit into {_BUFFER_BYTES} bytes")
        if not data:
            raise ReadError(reader, "the kernel's answer was empty")
        return data
