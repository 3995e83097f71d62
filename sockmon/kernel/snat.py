"""Source address translation: which ports of an address are in use towards one destination, from ctnetlink.

The kernel is asked for entries whose status has IPS_SRC_NAT (CTA_STATUS and CTA_STATUS_MASK, since Linux 5.15);
what an older kernel sends in addition is left out here.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.conntrack import dump_entries
from sockmon.kernel.conntrack_layout import MESSAGE
from sockmon.kernel.conntrack_names import protocol_name
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental, attribute, attribute_slots, split_alike
from sockmon.kernel.sockets import sock_diag
from sockmon.model.snapshot import SnatGroup

READER = "snat"
MAX_GROUPS = 20
"""Groups that are listed at most."""

_SRC_NAT = struct.pack("!I", 1 << 4)  # IPS_SRC_NAT
_REPLY, _STATUS, _STATUS_MASK = 2, 3, 26
_IP, _PROTO = 1, 2
_V4, _V6 = (1, 2), (3, 4)  # CTA_IP_V4_SRC and _DST, CTA_IP_V6_SRC and _DST
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_BODY = bytes(4) + attribute(_STATUS, _SRC_NAT) + attribute(_STATUS_MASK, _SRC_NAT)

Key = tuple[bytes, bytes, bytes, int]
"""Translated address, destination, its port, protocol."""


class _Layout(NamedTuple):
    """Where an entry has what is needed, and the attributes that decide that."""

    slots: tuple[tuple[int, int], ...]
    source: slice
    """Source of the reply: the destination."""
    destination: slice
    """Destination of the reply: the translated address."""
    protocol: int
    source_port: int
    destination_port: int
    status: int


class SnatGroups(NamedTuple):
    """Groups with translated ports, largest first."""

    groups: tuple[SnatGroup, ...]
    groups_total: int
    ports: tuple[frozenset[int], ...] = ()
    """The ports in use of each group."""


def read_groups(handle: NetnsHandle) -> Incremental[SnatGroups]:
    """Return the translated connections in groups, as `dump_entries`; an entry costs the kernel 2 µs."""
    found: dict[Key, set[bytes]] = {}

    def absorb(messages: bytes, length: int) -> None:
        _add_entries(messages, length, found)

    yield from dump_entries(handle, READER, _BODY, absorb)
    largest = sorted(found, key=lambda key: -len(found[key]))[:MAX_GROUPS]
    ports = tuple(frozenset(int.from_bytes(port, "big") for port in found[key]) for key in largest)
    return SnatGroups(tuple(map(_group, largest, ports)), len(found), ports)


def _group(key: Key, ports: frozenset[int]) -> SnatGroup:
    address, destination, port, protocol = key
    return SnatGroup(
        sock_diag.format_address(address),
        sock_diag.format_address(destination),
        int.from_bytes(port, "big"),
        protocol_name(protocol),
        len(ports),
        min(ports),
        max(ports),
    )


def _add_entries(messages: bytes, length: int, found: dict[Key, set[bytes]]) -> None:
    """Add the ports of messages of one length, those with one layout together."""
    while messages:
        layout = _layout(messages[:length])
        if layout is None:
            messages = messages[length:]
            continue
        alike, messages = split_alike(messages, length, layout.slots)
        for at in range(0, len(alike), length):
            _add_entry(alike[at : at + length], layout, found)


def _add_entry(message: bytes, layout: _Layout, found: dict[Key, set[bytes]]) -> None:
    if not message[layout.status] & _SRC_NAT[3]:
        return
    key = (
        message[layout.destination],
        message[layout.source],
        message[layout.source_port : layout.source_port + 2],
        message[layout.protocol],
    )
    ports = found.get(key)
    if ports is None:
        ports = found[key] = set()
    ports.add(message[layout.destination_port : layout.destination_port + 2])


def _layout(message: bytes) -> _Layout | None:
    """Find the attributes of one entry, as ctnetlink_fill_info() of net/netfilter/nf_conntrack_netlink.c writes
    them; return None for a protocol without ports."""
    top = attribute_slots(message, MESSAGE, len(message), READER)
    if _REPLY not in top or _STATUS not in top:
        raise ReadError(READER, "an entry has no reply or no status")
    reply = attribute_slots(message, *top[_REPLY], READER)
    address = attribute_slots(message, *reply.get(_IP, (0, 0)), READER)
    proto = attribute_slots(message, *reply.get(_PROTO, (0, 0)), READER)
    kind = _V4 if _V4[0] in address else _V6
    if not {*kind} <= {*address} or not {_NUMBER, _SOURCE_PORT, _DESTINATION_PORT} <= {*proto}:
        return None
    passed = (top, reply, address, proto)
    return _Layout(
        tuple(slot for found in passed for slot in found.values()),
        slice(*address[kind[0]]),
        slice(*address[kind[1]]),
        proto[_NUMBER][0],
        proto[_SOURCE_PORT][0],
        proto[_DESTINATION_PORT][0],
        top[_STATUS][1] - 1,
    )
