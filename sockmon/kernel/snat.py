"""Source address translation: which ports of an address are taken towards one destination, from ctnetlink.

The kernel is asked for entries whose status has IPS_SRC_NAT (CTA_STATUS and CTA_STATUS_MASK, since Linux 5.15);
what an older one sends besides is left out here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from sockmon.errors import Absent, Unreadable
from sockmon.kernel import sock_diag
from sockmon.kernel.conntrack import PROTOCOLS
from sockmon.kernel.netlink import ATTRIBUTE, Steps, attribute, dump
from sockmon.model.snapshot import SnatGroup

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

READER = "snat"
TOP = 20
"""Groups that are listed at most."""

_GET = 0x0101  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET
_SRC_NAT = struct.pack("!I", 1 << 4)  # IPS_SRC_NAT
_REPLY, _STATUS, _STATUS_MASK = 2, 3, 26
_IP, _PROTO = 1, 2
_V4, _V6 = (1, 2), (3, 4)  # CTA_IP_V4_SRC and _DST, CTA_IP_V6_SRC and _DST
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_START = 20  # struct nlmsghdr and struct nfgenmsg
_BODY = bytes(4) + attribute(_STATUS, _SRC_NAT) + attribute(_STATUS_MASK, _SRC_NAT)

Key = tuple[bytes, bytes, bytes, int]
"""Translated address, destination, its port, protocol."""


class _Layout(NamedTuple):
    """Where an entry has what is wanted, and the attribute headers that lead there."""

    headers: tuple[int, ...]
    source: slice
    """Source of the reply: the destination."""
    destination: slice
    """Destination of the reply: the translated address."""
    protocol: int
    source_port: int
    destination_port: int
    status: int


class Translated(NamedTuple):
    """Groups with translated ports, largest first."""

    groups: tuple[SnatGroup, ...]
    groups_total: int


def snat(door: Door) -> Steps[Translated]:
    """Group the translated connections; 2 µs an entry in the kernel. Raises Unreadable: without CAP_NET_ADMIN in
    the namespace's owner, Absent where nf_conntrack is not loaded."""
    found: dict[Key, set[bytes]] = {}

    def absorb(messages: bytes, length: int) -> None:
        _absorb(messages, length, found)

    try:
        yield from dump(door.conntrack, READER, _GET, _BODY, absorb, _START)
    except Absent:
        raise Absent(READER, "nf_conntrack is not loaded") from None
    except Unreadable as error:
        if "EPERM" not in error.message:
            raise
        raise Unreadable(READER, "needs CAP_NET_ADMIN", "run sockmon with sudo") from None
    largest = sorted(found, key=lambda key: -len(found[key]))[:TOP]
    return Translated(tuple(_group(key, found[key]) for key in largest), len(found))


def _group(key: Key, ports: set[bytes]) -> SnatGroup:
    address, destination, port, protocol = key
    return SnatGroup(
        sock_diag.text(address),
        sock_diag.text(destination),
        int.from_bytes(port, "big"),
        PROTOCOLS.get(protocol, f"protocol {protocol}"),
        len(ports),
        int.from_bytes(min(ports), "big"),
        int.from_bytes(max(ports), "big"),
    )


def _absorb(messages: bytes, length: int, found: dict[Key, set[bytes]]) -> None:
    """Add what messages of one length hold: by one layout where all are built like the first, else one by one."""
    layout = _layout(messages[:length])
    if length < len(messages) and not _alike(messages, length, layout):
        for at in range(0, len(messages), length):
            _absorb(messages[at : at + length], length, found)
        return
    if layout is None:
        return
    for at in range(0, len(messages), length):
        message = messages[at : at + length]
        if not message[layout.status] & _SRC_NAT[3]:
            continue
        key = (
            message[layout.destination],
            message[layout.source],
            message[layout.source_port : layout.source_port + 2],
            message[layout.protocol],
        )
        port = message[layout.destination_port : layout.destination_port + 2]
        ports = found.get(key)
        if ports is None:
            ports = found[key] = set()
        ports.add(port)


def _alike(messages: bytes, length: int, layout: _Layout | None) -> bool:
    if layout is None:
        return False
    count = len(messages) // length
    return all(
        messages[at::length].count(messages[at]) == count
        for header in layout.headers
        for at in (header, header + 2)
    )


def _layout(message: bytes) -> _Layout | None:
    """Walk one entry, as ctnetlink_fill_info() of net/netfilter/nf_conntrack_netlink.c builds it; None for a
    protocol without ports."""
    top = _places(message, (_START, len(message)))
    if _REPLY not in top or _STATUS not in top:
        raise Unreadable(READER, "an entry has no reply or no status")
    reply = _places(message, top[_REPLY])
    address = _places(message, reply.get(_IP, (0, 0)))
    proto = _places(message, reply.get(_PROTO, (0, 0)))
    kind = _V4 if _V4[0] in address else _V6
    if not {*kind} <= {*address} or not {_NUMBER, _SOURCE_PORT, _DESTINATION_PORT} <= {*proto}:
        return None
    passed = (top, reply, address, proto)
    return _Layout(
        tuple(begin - 4 for places in passed for begin, _ in places.values()),
        slice(*address[kind[0]]),
        slice(*address[kind[1]]),
        proto[_NUMBER][0],
        proto[_SOURCE_PORT][0],
        proto[_DESTINATION_PORT][0],
        top[_STATUS][1] - 1,
    )


def _places(message: bytes, within: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """Start and end of the payload of each attribute, by type; raises Unreadable where they do not fit."""
    at, end = within
    places: dict[int, tuple[int, int]] = {}
    while end - at >= 4:
        length, kind = ATTRIBUTE.unpack_from(message, at)
        if length < 4 or length > end - at:
            raise Unreadable(READER, f"an attribute of {length} bytes where {end - at} are left")
        # The top bits are flags: NLA_F_NESTED, NLA_F_NET_BYTEORDER.
        places[kind & 0x3FFF] = (at + 4, at + length)
        at += (length + 3) & ~3
    return places
