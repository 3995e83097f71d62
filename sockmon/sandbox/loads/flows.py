"""Tracked flows that stay, made through ctnetlink as conntrackd does (net/netfilter/nf_conntrack_netlink.c)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.workers import FOREVER

SERVER = "203.0.113.10"
_NETFILTER = 12
_NEW, _REQUEST, _ACK, _CREATE = 0x100, 0x1, 0x4, 0x400
_TUPLE_ORIGINAL, _TUPLE_REPLY, _STATUS, _PROTOINFO, _TIMEOUT = 1, 2, 3, 4, 7
_NESTED = 0x8000
_CONFIRMED_ASSURED = 0xE
"""IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED: the kernel does not evict such an entry for a new one."""
_TCP, _ESTABLISHED = 6, 3
_TIMEOUT_SECONDS = 86_400
_BATCH = 256
_CLIENT = b"\x00\xc1\x1e\x07"
"""A placeholder for the client's address."""


def create_flows(builder: LabBuilder, total: int) -> Iterator[float]:
    """Create established TCP flows of `total` clients to one server; they stay for a day and are not evicted."""
    entry = _entry()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as netlink:
        for begin in range(0, total, _BATCH):
            batch = range(begin, min(begin + _BATCH, total))
            netlink.send(b"".join(entry.replace(_CLIENT, _address(number)) for number in batch))
            builder.progress(batch.stop / total, f"{batch.stop:,} of {total:,} flows")
            _raise_if_refused(netlink)
    yield FOREVER


def _address(number: int) -> bytes:
    return struct.pack("!I", (10 << 24) + number)


def _raise_if_refused(netlink: socket.socket) -> None:
    """Raise OSError if the kernel has reported a failure, except a full table, which is what the lab wants."""
    try:
        reply = netlink.recv(4096, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return
    code = -int(struct.unpack_from("=i", reply, 16)[0])
    if code != errno.ENOMEM:
        raise OSError(code, f"ctnetlink: {os.strerror(code)}")


def _entry() -> bytes:
    """Return a message with the placeholder for the client's address."""
    server = socket.inet_aton(SERVER)
    body = (
        struct.pack("=BBH", socket.AF_INET, 0, 0)
        + _tuple(_TUPLE_ORIGINAL, _CLIENT, server, 40000, 443)
        + _tuple(_TUPLE_REPLY, server, _CLIENT, 443, 40000)
        + _attribute(_STATUS, struct.pack("!I", _CONFIRMED_ASSURED))
        + _attribute(_TIMEOUT, struct.pack("!I", _TIMEOUT_SECONDS))
        + _nest(_PROTOINFO, _nest(1, _attribute(1, bytes([_ESTABLISHED]))))
    )
    return struct.pack("=IHHII", 16 + len(body), _NEW, _REQUEST | _CREATE, 0, 0) + body


def _tuple(kind: int, source: bytes, destination: bytes, sport: int, dport: int) -> bytes:
    protocol = _attribute(1, bytes([_TCP])) + _attribute(2, struct.pack("!H", sport))
    return _nest(
        kind,
        _nest(1, _attribute(1, source) + _attribute(2, destination))
        + _nest(2, protocol + _attribute(3, struct.pack("!H", dport))),
    )


def _nest(kind: int, content: bytes) -> bytes:
    return _attribute(kind | _NESTED, content)


def _attribute(kind: int, content: bytes) -> bytes:
    length = 4 + len(content)
    return struct.pack("=HH", length, kind) + content + bytes(-length % 4)
