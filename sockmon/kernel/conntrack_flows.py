"""The flows of a namespace that match some conditions: the first of them in full, the others as a number."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel.conntrack import ANY_FAMILY, GET, dump_entries, not_permitted
from sockmon.kernel.conntrack_layout import (
    MARK,
    MESSAGE,
    PROTO_NUM,
    PROTOINFO,
    PROTOINFO_TCP,
    READER,
    STATUS,
    TCP_STATE,
    TIMEOUT,
    TUPLE_IP,
    TUPLE_ORIG,
    TUPLE_PROTO,
    TUPLE_REPLY,
    TUPLE_ZONE,
    V4,
    V6,
    ZONE,
    Layouts,
)
from sockmon.kernel.conntrack_names import TCP, protocol_name, state_name
from sockmon.kernel.flow_filter import FlowFilter, dump_bodies
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import NESTED, Incremental, attribute, attribute_slots, request_one
from sockmon.kernel.sockets.sock_diag import format_address
from sockmon.model.conntrack_flows import MAX_FLOWS, Flow, FlowTerm, FlowTraffic, FlowTuple
from sockmon.text import sanitize

_HELP, _COUNTERS, _REPLY_COUNTERS, _ID, _MASTER, _TIMESTAMP, _LABELS = 5, 9, 10, 12, 14, 20, 22
_PORTS, _ICMP, _ICMPV6 = (2, 3), (4, 5, 6), (7, 8, 9)
"""CTA_PROTO_SRC_PORT and _DST_PORT; CTA_PROTO_ICMP_ID, _TYPE, _CODE; the same of ICMPv6."""


class Flows(NamedTuple):
    """What a walk found."""

    flows: list[Flow]
    """The first ones, in the order of the table."""
    matched: int
    """All that match."""


def read_flows(handle: NetnsHandle, terms: Sequence[FlowTerm], most: int = MAX_FLOWS) -> Incremental[Flows]:
    """Return at most `most` flows that match all `terms`, and how many match; raise as `dump_entries`.

    The kernel leaves out what it can; if it refuses the filter, all entries are compared here."""
    search = _Search(handle.inode, terms, most)
    try:
        for body in dump_bodies(terms):
            yield from dump_entries(handle, READER, body, search.absorb, query=True)
    except (NotPresent, Forbidden):
        raise
    except ReadError:
        search = _Search(handle.inode, terms, most)
        yield from dump_entries(handle, READER, ANY_FAMILY, search.absorb, query=True)
    return search.found


def find_flow(handle: NetnsHandle, flow: Flow) -> Flow | None:
    """Return the flow as it is now; None if the table has none with its tuple; raise as `dump_entries`. The kernel
    looks one entry up, however large the table is."""
    try:
        message = request_one(handle.conntrack_query, READER, GET, flow_key(flow))
    except Forbidden:
        raise not_permitted(READER) from None
    return None if message is None else parse_flow(message, handle.inode)


def flow_key(flow: Flow) -> bytes:
    """Return struct nfgenmsg and the attributes by which the kernel finds a flow: to get it, or to delete it."""
    family = socket.AF_INET if flow.family == 4 else socket.AF_INET6
    source, destination = V4 if flow.family == 4 else V6
    original = flow.original
    addresses = attribute(source, socket.inet_pton(family, original.source)) + attribute(
        destination, socket.inet_pton(family, original.destination)
    )
    icmp = _ICMP if flow.family == 4 else _ICMPV6
    numbers = (
        *zip(_PORTS, ("!H", "!H"), (original.source_port, original.destination_port), strict=True),
        *zip(icmp, ("!H", "!B", "!B"), (original.icmp_id, original.icmp_type, original.icmp_code), strict=True),
    )
    protocol = attribute(PROTO_NUM, bytes([flow.number])) + b"".join(
        attribute(kind, struct.pack(size, value)) for kind, size, value in numbers if value is not None
    )
    inside = attribute(TUPLE_IP | NESTED, addresses) + attribute(TUPLE_PROTO | NESTED, protocol)
    if original.zone is not None:
        inside += attribute(TUPLE_ZONE, struct.pack("!H", original.zone))
    zone = attribute(ZONE, struct.pack("!H", flow.zone)) if flow.zone else b""
    return struct.pack("=BBH", family, 0, 0) + attribute(TUPLE_ORIG | NESTED, inside) + zone


class _Search:
    """Compares entries with terms."""

    def __init__(self, netns: int, terms: Sequence[FlowTerm], most: int) -> None:
        self._netns = netns
        self._filter = FlowFilter(terms) if terms else None
        self._most = most
        self._layouts = Layouts()
        self._flows: list[Flow] = []
        self._matched = 0

    @property
    def found(self) -> Flows:
        """What was found so far."""
        return Flows(self._flows, self._matched)

    def absorb(self, messages: bytes, length: int) -> None:
        """Take a block of messages that all have one length."""
        if self._filter is None and len(self._flows) >= self._most:
            self._matched += len(messages) // length
            return
        for block, layout in self._layouts.blocks(messages, length):
            every = range(0, len(block), length)
            chosen = self._filter.matching(block, length, layout) if self._filter else every
            room = self._most - len(self._flows)
            self._matched += len(chosen)
            self._flows += [parse_flow(block[at : at + length], self._netns) for at in chosen[:room]]


def parse_flow(message: bytes, netns: int) -> Flow:
    """Return the flow of one message; raise ReadError."""
    top = _Attributes(message, MESSAGE, len(message))
    original, reply = top.nested(TUPLE_ORIG), top.nested(TUPLE_REPLY)
    number = original.nested(TUPLE_PROTO).number(PROTO_NUM)
    status = top.number(STATUS)
    if number is None or status is None:
        raise ReadError(READER, "an entry has no protocol or no status")
    state = top.nested(PROTOINFO).nested(PROTOINFO_TCP).number(TCP_STATE)
    start = top.nested(_TIMESTAMP).number(1)
    master = top.nested(_MASTER)
    labels = top.bytes(_LABELS) or b""
    return Flow(
        netns=netns,
        family=4 if V4[0] in original.nested(TUPLE_IP).slots else 6,
        protocol=protocol_name(number),
        number=number,
        original=_tuple(original),
        reply=_tuple(reply),
        status=status,
        state=state_name(state) if number == TCP else "",
        timeout=top.number(TIMEOUT),
        zone=top.number(ZONE) or 0,
        mark=top.number(MARK),
        id=top.number(_ID),
        traffic=_traffic(top),
        started=None if start is None else start / 1e9,
        helper=sanitize((top.nested(_HELP).bytes(1) or b"").rstrip(b"\0").decode(errors="replace"), 100),
        labels=labels.hex() if any(labels) else "",
        master=_tuple(master) if master.slots else None,
    )


class _Attributes:
    """The attributes of one nest; those that are absent are empty."""

    def __init__(self, message: bytes, begin: int, end: int) -> None:
        self._message = message
        self.slots = attribute_slots(message, begin, end, READER)

    def nested(self, kind: int) -> _Attributes:
        """Return the attributes inside of one."""
        return _Attributes(self._message, *self.slots.get(kind, (0, 0)))

    def bytes(self, kind: int) -> bytes | None:
        """Return a payload; None if there is none."""
        if kind not in self.slots:
            return None
        begin, end = self.slots[kind]
        return self._message[begin:end]

    def number(self, kind: int) -> int | None:
        """Return a payload as a number in network order; None if there is none."""
        found = self.bytes(kind)
        return None if found is None else int.from_bytes(found[:8], "big")


def _tuple(found: _Attributes) -> FlowTuple:
    address, protocol = found.nested(TUPLE_IP), found.nested(TUPLE_PROTO)
    source, destination = V4 if V4[0] in address.slots else V6
    icmp = _ICMP if _ICMP[0] in protocol.slots else _ICMPV6
    return FlowTuple(
        source=_address(address.bytes(source)),
        destination=_address(address.bytes(destination)),
        source_port=protocol.number(_PORTS[0]),
        destination_port=protocol.number(_PORTS[1]),
        icmp_id=protocol.number(icmp[0]),
        icmp_type=protocol.number(icmp[1]),
        icmp_code=protocol.number(icmp[2]),
        zone=found.number(TUPLE_ZONE),
    )


def _address(packed: bytes | None) -> str:
    if packed is None or len(packed) not in (4, 16):
        raise ReadError(READER, "an entry has no address of 4 or 16 bytes")
    return format_address(packed)


def _traffic(top: _Attributes) -> FlowTraffic | None:
    counted = [top.nested(kind).number(what) for kind in (_COUNTERS, _REPLY_COUNTERS) for what in (1, 2)]
    numbers = [number for number in counted if number is not None]
    return FlowTraffic(*numbers) if len(numbers) == len(counted) else None
