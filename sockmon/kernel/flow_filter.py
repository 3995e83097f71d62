"""Conditions on flows: what the kernel can leave out of a dump, and what is compared with each entry here.

The kernel filters a dump by tuple and mark since Linux 5.8, by status since 5.15 and by zone since 6.8; an older
one ignores what it does not know. So whatever it sends is compared again. Its filter on IPv6 addresses is never
used: it leaves out the entries that match (ctnetlink_filter_match_tuple() tests !ipv6_addr_cmp()).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, ip_address, ip_network
from itertools import compress
from typing import Any, NamedTuple

from sockmon.kernel.conntrack_layout import (
    DESTINATION_PORT,
    MARK,
    PROTO_NUM,
    SOURCE_PORT,
    STATUS,
    TUPLE_IP,
    TUPLE_ORIG,
    TUPLE_PROTO,
    V4,
    ZONE,
    Layout,
)
from sockmon.kernel.conntrack_names import PROTOCOLS, TCP, UNNAMED, protocol_name, state_name
from sockmon.kernel.netlink import NESTED, attribute
from sockmon.kernel.sockets.sock_diag import format_address
from sockmon.model.conntrack_flows import (
    ASSURED,
    SEEN_REPLY,
    FlowTerm,
    FlowValue,
    NetworkValue,
    RangeValue,
    TextValue,
    WordValue,
    status_words,
)

MARK_MASK, FILTER, STATUS_MASK = 21, 25, 26
_ORIG_FLAGS = 1
_IP_SRC, _IP_DST, _NUMBER, _SRC_PORT, _DST_PORT = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 5
"""CTA_FILTER_F_* of net/netfilter/nf_internals.h."""
_WITH_PORTS = (6, 17)
"""Protocols whose ports the kernel compares and that have them at the same place in every kernel."""
_STATUS_BITS = {"assured": (ASSURED, ASSURED), "unreplied": (0, SEEN_REPLY)}
MAX_REMEMBERED = 1 << 15
"""Values of a field whose answer is remembered at once."""

_COLUMNS = (
    *(("src", "source", 0), ("dst", "destination", 0), ("sport", "source_port", 2), ("proto", "protocol", 1)),
    *(("dport", "destination_port", 2), ("status", "status", 4), ("tcp", "state", 1), ("zone", "zone", 2)),
    ("mark", "mark", 4),
)
"""Name, field of the Layout, bytes; 0: those of an address."""
_FORMATS = {1: "B", 2: "H", 4: "I"}
_USES = {
    "port": ("sport", "dport"),
    "state": ("proto", "status", "tcp"),
    "": ("proto", "status", "tcp", "src", "dst", "sport", "dport"),
}
"""Field of a term → the columns that it compares; otherwise the one of its name."""
_ABSENT = {"zone": 0}
"""What stands for a column that an entry does not have."""

Values = tuple[Any, ...]
"""The fields of an entry: numbers, the bytes of addresses, None for what it does not have."""
Matches = Callable[[Values], bool]


class Columns(NamedTuple):
    """What unpacks the fields of an entry, and where each of them is in the result."""

    unpack: struct.Struct
    places: dict[str, int]


@lru_cache(maxsize=256)
def columns(layout: Layout, length: int) -> Columns:
    """Return what unpacks the fields that terms compare."""
    found = []
    for name, field, size in _COLUMNS:
        at = getattr(layout, field)
        if at is not None:
            found.append((at, size or layout.address_bytes, name))
    parts, at = [">"], 0
    for begin, size, name in sorted(found):
        kind = f"{size}s" if name in ("src", "dst") else _FORMATS[size]
        parts.append(f"{begin - at}x{kind}")
        at = begin + size
    parts.append(f"{length - at}x")
    return Columns(struct.Struct("".join(parts)), {name: index for index, (*_, name) in enumerate(sorted(found))})


class FlowFilter:
    """Terms that all have to match. Each different value is compared once, not in each entry."""

    def __init__(self, terms: Sequence[FlowTerm]) -> None:
        self._terms = [_Term(_USES.get(term.field, (term.field,)), _test(term), {}) for term in terms]

    def matching(self, block: bytes, length: int, layout: Layout) -> list[int]:
        """Return where the entries of a block begin that match."""
        unpacked = columns(layout, length)
        starts = list(range(0, len(block), length))
        entries = list(unpacked.unpack.iter_unpack(block))
        for term in self._terms:
            answers = term.answers([unpacked.places.get(name, -1) for name in term.columns], entries)
            starts = list(compress(starts, answers))
            entries = list(compress(entries, answers))
        return starts


class _Term(NamedTuple):
    columns: tuple[str, ...]
    test: Matches
    known: dict[Values, bool]
    """Answers for values that were compared already."""

    def answers(self, places: list[int], entries: list[Values]) -> list[bool]:
        """Return for each entry whether it matches."""
        columns = [
            [_ABSENT.get(name)] * len(entries) if at < 0 else [fields[at] for fields in entries]
            for name, at in zip(self.columns, places, strict=True)
        ]
        values = list(zip(*columns, strict=True))
        if len(self.known) >= MAX_REMEMBERED:
            self.known.clear()
        for each in set(values).difference(self.known):
            self.known[each] = self.test(each)
        return [self.known[each] for each in values]


def _test(term: FlowTerm) -> Matches:
    """Return the test of one term on the values of its columns."""
    facts = _FACTS.get(term.field, _numbers)
    tests = [_value_test(value) for value in term.values]
    negated = term.negated

    def matches(values: Values) -> bool:
        known = facts(values)
        return any(test(fact) for test in tests for fact in known) is not negated

    return matches


def _numbers(values: Values) -> Values:
    return tuple(value for value in values if value is not None)


def _protocol(values: Values) -> Values:
    return (values[0], protocol_name(values[0]))


def _state(values: Values) -> Values:
    protocol, status, state = values
    return (*((state_name(state),) if protocol == TCP else ()), *status_words(status))


def _everything(values: Values) -> Values:
    """Return one text with all that a word is searched in."""
    kind, fields = values[:3], [_text(value) for value in values[3:] if value is not None]
    return ("\n".join([protocol_name(kind[0]), *_state(kind), *fields]),)


_FACTS: dict[str, Callable[[Values], Values]] = {"proto": _protocol, "state": _state, "": _everything}
"""Field → the facts about an entry that its values are compared with; otherwise the columns themselves."""


def _value_test(value: FlowValue) -> Callable[[Any], bool]:
    if isinstance(value, NetworkValue):
        return _network_test(value.network)
    if isinstance(value, RangeValue):
        return lambda fact: isinstance(fact, int) and value.low <= fact <= value.high
    if isinstance(value, TextValue):
        wanted = value.text.casefold()
        return lambda fact: wanted in _text(fact)
    if isinstance(value, WordValue):
        word = value.text.casefold()
        return lambda fact: word == _text(fact)
    start = value.text.casefold()
    return lambda fact: _text(fact).startswith(start)


def _text(fact: Any) -> str:
    return format_address(fact) if isinstance(fact, bytes) else str(fact).casefold()


def _network_test(text: str) -> Callable[[Any], bool]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return lambda fact: False

    def matches(fact: Any) -> bool:
        if not isinstance(fact, bytes):
            return False
        address = ip_address(fact)
        address = getattr(address, "ipv4_mapped", None) or address
        return address.version == network.version and address in network

    return matches


# What the kernel leaves out


def dump_bodies(terms: Sequence[FlowTerm]) -> list[bytes]:
    """Return for each dump its struct nfgenmsg, and the attributes that make the kernel leave out entries that do
    not match. Tuples are filtered for one family at a time."""
    exact = {term.field: term.values[0] for term in terms if len(term.values) == 1 and not term.negated}
    others = _masked(STATUS, STATUS_MASK, *_status(terms))
    mark, zone = _single(exact.get("mark"), 0xFFFFFFFF), _single(exact.get("zone"), 0xFFFF)
    if mark is not None:
        others += _masked(MARK, MARK_MASK, mark, 0xFFFFFFFF)
    if zone:
        others += attribute(ZONE, struct.pack("!H", zone))
    protocol = _exact_protocol(exact.get("proto"))
    ports = [_single(exact.get(name), 0xFFFF) if protocol in _WITH_PORTS else None for name in ("sport", "dport")]
    filters = {
        socket.AF_INET: _tuple_filter(_host(exact.get("src")), _host(exact.get("dst")), protocol, *ports),
        socket.AF_INET6: _tuple_filter(None, None, protocol, *ports),
    }
    family = _family(terms)
    families = (family,) if family else tuple(filters)
    if not family and protocol is None:
        return [struct.pack("=BBH", 0, 0, 0) + others]
    return [struct.pack("=BBH", each, 0, 0) + filters[each] + others for each in families]


def _exact_protocol(value: FlowValue | None) -> int | None:
    """Return the only protocol that can match."""
    if isinstance(value, TextValue | WordValue):
        word, whole = value.text.casefold(), isinstance(value, WordValue)
        found = [number for number, name in PROTOCOLS.items() if (word == name if whole else word in name)]
        return found[0] if len(found) == 1 and (whole or word not in UNNAMED) else None
    return _single(value, 255)


def _single(value: FlowValue | None, most: int) -> int | None:
    """Return the only number that can match."""
    if isinstance(value, RangeValue) and value.low == value.high and 0 <= value.low <= most:
        return value.low
    return None


def _host(value: FlowValue | None) -> bytes | None:
    """Return the four bytes of a single IPv4 address."""
    network = _network(value)
    if isinstance(network, IPv4Network) and network.prefixlen == 32:
        return network.network_address.packed
    return None


def _network(value: FlowValue | None) -> Any:
    try:
        return ip_network(value.network, strict=False) if isinstance(value, NetworkValue) else None
    except ValueError:
        return None


def _family(terms: Sequence[FlowTerm]) -> socket.AddressFamily | None:
    """Return the only family that can match; None if both can."""
    for term in terms:
        versions = {getattr(_network(value), "version", 0) for value in term.values}
        if term.field in ("src", "dst") and not term.negated and len(versions) == 1:
            # A network of IPv4 also matches v4-mapped addresses, which no packet on a wire has.
            return {4: socket.AF_INET, 6: socket.AF_INET6}.get(versions.pop())
    return None


def _tuple_filter(
    source: bytes | None, destination: bytes | None, protocol: int | None, sport: int | None, dport: int | None
) -> bytes:
    parts = (
        (_IP_SRC, TUPLE_IP, V4[0], source),
        (_IP_DST, TUPLE_IP, V4[1], destination),
        (_NUMBER, TUPLE_PROTO, PROTO_NUM, None if protocol is None else bytes([protocol])),
        (_SRC_PORT, TUPLE_PROTO, SOURCE_PORT, None if sport is None else struct.pack("!H", sport)),
        (_DST_PORT, TUPLE_PROTO, DESTINATION_PORT, None if dport is None else struct.pack("!H", dport)),
    )
    flags = sum(flag for flag, *_, value in parts if value is not None)
    if not flags:
        return b""
    nests = {TUPLE_IP: b"", TUPLE_PROTO: b""}
    for _, nest, kind, value in parts:
        nests[nest] += b"" if value is None else attribute(kind, value)
    inside = b"".join(attribute(nest | NESTED, content) for nest, content in nests.items() if content)
    return attribute(TUPLE_ORIG | NESTED, inside) + attribute(
        FILTER | NESTED, attribute(_ORIG_FLAGS, struct.pack("=I", flags))
    )


def _status(terms: Sequence[FlowTerm]) -> tuple[int, int]:
    """Return value and mask of the status that all terms ask for; mask 0: they ask for none."""
    value = mask = 0
    for term in terms:
        only = term.values[0] if term.field == "state" and len(term.values) == 1 else None
        word = only.text.casefold() if isinstance(only, TextValue | WordValue) else ""
        if word in _STATUS_BITS:
            wanted, bit = _STATUS_BITS[word]
            value, mask = value | (wanted ^ bit if term.negated else wanted), mask | bit
    return value, mask


def _masked(kind: int, mask_kind: int, value: int, mask: int) -> bytes:
    if not mask:
        return b""
    return attribute(kind, struct.pack("!I", value)) + attribute(mask_kind, struct.pack("!I", mask))
