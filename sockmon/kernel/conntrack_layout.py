"""Where an entry of a ctnetlink dump has what: ctnetlink_fill_info() of net/netfilter/nf_conntrack_netlink.c.

Most entries of a table have one of few layouts, so the attributes of one entry are found once, and all others with
the same attributes at the same places are columns of equal stride.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.netlink import attribute_slots, split_alike

READER = "conntrack table"
MESSAGE = 20
"""struct nlmsghdr and struct nfgenmsg: where the attributes of an entry start."""
MAX_LAYOUTS = 256
"""Layouts that are remembered at once; labels, helpers and names of security contexts make new ones."""

TUPLE_ORIG, TUPLE_REPLY, STATUS, PROTOINFO, TIMEOUT, MARK = 1, 2, 3, 4, 7, 8
ZONE = 18
TUPLE_IP, TUPLE_PROTO, TUPLE_ZONE = 1, 2, 3
V4, V6 = (1, 2), (3, 4)
"""CTA_IP_V4_SRC and _DST, CTA_IP_V6_SRC and _DST."""
PROTO_NUM, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3
PROTOINFO_TCP, TCP_STATE = 1, 1

Slot = tuple[int, int]
"""Start and end of a payload."""


class Layout(NamedTuple):
    """Offsets in an entry; None for what it does not have."""

    slots: tuple[Slot, ...]
    """The attributes that decide the layout."""
    protocol: int
    status: int
    """Of the first of its four bytes, which are in network order."""
    state: int | None
    """Of the TCP state."""
    source: int
    destination: int
    """Of the addresses in the original tuple."""
    address_bytes: int
    """4 or 16."""
    source_port: int | None
    destination_port: int | None
    zone: int | None
    """Of the zone of both directions, or of the original one alone."""
    mark: int | None
    timeout: int | None


class _Known(NamedTuple):
    """A layout, and how to recognise an entry that has it."""

    headers: struct.Struct
    values: tuple[bytes, ...]
    layout: Layout


class Layouts:
    """Finds the layouts of entries, and remembers them."""

    def __init__(self) -> None:
        self._known: dict[int, list[_Known]] = {}
        self._number = 0

    def blocks(self, messages: bytes, length: int) -> Iterator[tuple[bytes, Layout]]:
        """Yield the messages of one `length` grouped by layout; raise ReadError if one is malformed."""
        while messages:
            layout = self._layout(messages, length)
            alike, messages = split_alike(messages, length, layout.slots)
            yield alike, layout

    def _layout(self, messages: bytes, length: int) -> Layout:
        """Return the layout of the first message."""
        known = self._known.setdefault(length, [])
        for each in known:
            if each.headers.unpack_from(messages) == each.values:
                return each.layout
        layout = find_layout(messages[:length])
        if self._number >= MAX_LAYOUTS:
            self._known, self._number = {}, 0
            known = self._known.setdefault(length, [])
        headers = _headers(layout.slots)
        known.append(_Known(headers, headers.unpack_from(messages), layout))
        self._number += 1
        return layout


def _headers(slots: tuple[Slot, ...]) -> struct.Struct:
    """Return what unpacks the headers of all attributes."""
    parts, at = ["="], 0
    for begin in sorted({begin for begin, _ in slots}):
        parts.append(f"{begin - 4 - at}x4s")
        at = begin
    return struct.Struct("".join(parts))


def find_layout(message: bytes) -> Layout:
    """Return the layout of one entry; raise ReadError if it lacks what every entry has, or a size is wrong."""
    top = attribute_slots(message, MESSAGE, len(message), READER)
    original = attribute_slots(message, *top.get(TUPLE_ORIG, (0, 0)), READER)
    address = attribute_slots(message, *original.get(TUPLE_IP, (0, 0)), READER)
    protocol = attribute_slots(message, *original.get(TUPLE_PROTO, (0, 0)), READER)
    info = attribute_slots(message, *top.get(PROTOINFO, (0, 0)), READER)
    tcp = attribute_slots(message, *info.get(PROTOINFO_TCP, (0, 0)), READER)
    version = V4 if V4[0] in address else V6
    size = 4 if version == V4 else 16
    number, status = _at(protocol, PROTO_NUM, 1), _at(top, STATUS, 4)
    source, destination = _at(address, version[0], size), _at(address, version[1], size)
    if number is None or status is None or source is None or destination is None or len(message) % 4:
        raise ReadError(READER, "an entry has no protocol, no status or no addresses")
    zone = _at(top, ZONE, 2)
    return Layout(
        slots=tuple(slot for found in (top, original, address, protocol, info, tcp) for slot in found.values()),
        protocol=number,
        status=status,
        state=_at(tcp, TCP_STATE, 1),
        source=source,
        destination=destination,
        address_bytes=size,
        source_port=_at(protocol, SOURCE_PORT, 2),
        destination_port=_at(protocol, DESTINATION_PORT, 2),
        zone=_at(original, TUPLE_ZONE, 2) if zone is None else zone,
        mark=_at(top, MARK, 4),
        timeout=_at(top, TIMEOUT, 4),
    )


def _at(slots: dict[int, Slot], kind: int, size: int) -> int | None:
    """Return where an attribute of `size` bytes begins; None if there is none; raise ReadError for another
    size."""
    if kind not in slots:
        return None
    begin, end = slots[kind]
    if end - begin != size:
        raise ReadError(READER, f"an entry has an attribute of {end - begin} bytes where {size} belong")
    return begin
