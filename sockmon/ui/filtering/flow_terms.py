"""The filter on flows of the connection table: the values of a flow, and the terms that the agent compares."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from math import ceil, floor, isinf

from sockmon.model.conntrack_flows import (
    Flow,
    FlowTerm,
    FlowValue,
    NetworkValue,
    PrefixValue,
    RangeValue,
    TextValue,
    WordValue,
)
from sockmon.model.conntrack_tops import TopRow
from sockmon.ui.filtering.filter import ALL, Filter, KnownFields, RowValues
from sockmon.ui.filtering.term_values import Contains, InNetwork, NumberRange, Value

FLOW: KnownFields = dict.fromkeys(("src", "dst", "sport", "dport", "port", "proto", "state", "zone", "mark"), ALL)
_TOP_FIELDS = ("src", "dst", "proto", "dport", "port", "zone", "count")
_LARGEST = 1 << 62


def flow_values(flow: Flow) -> RowValues:
    """Return the values of a flow: its original direction, before an address is translated."""
    original = flow.original
    return {
        "src": original.source,
        "dst": original.destination,
        "sport": original.source_port,
        "dport": original.destination_port,
        "port": (original.source_port, original.destination_port),
        "proto": flow.protocol,
        "state": (flow.state or None, *flow.status_words),
        "zone": flow.zone,
        "mark": flow.mark,
    }


def known_of_tops(*fields: str) -> KnownFields:
    """Return what the rows of a table of tops know."""
    return dict.fromkeys((*(field for field in _TOP_FIELDS if field in fields), "count"), ALL)


def top_values(row: TopRow) -> RowValues:
    """Return the values of a row of tops."""
    return {
        "src": row.source,
        "dst": row.destination,
        "proto": row.protocol,
        "dport": row.port,
        "port": row.port,
        "zone": row.zone,
        "count": row.entries,
    }


def terms_of_top(row: TopRow) -> tuple[FlowTerm, ...]:
    """Return the terms of the flows that a row of tops counts."""
    addresses = [("src", row.source), ("dst", row.destination)]
    numbers = [("dport", row.port), ("zone", row.zone)]
    return (
        *(FlowTerm(field, (NetworkValue(str(ip_network(text))),)) for field, text in addresses if text),
        *((FlowTerm("proto", (WordValue(row.protocol),)),) if row.protocol is not None else ()),
        *(FlowTerm(field, (RangeValue(number, number),)) for field, number in numbers if number is not None),
    )


def terms_of_kind(protocol: str, state: str) -> tuple[FlowTerm, ...]:
    """Return the terms of the flows of one protocol and, for TCP, state."""
    states = (FlowTerm("state", (WordValue(state),)),) if state else ()
    return (FlowTerm("proto", (WordValue(protocol),)), *states)


def terms_of_filter(wanted: Filter) -> tuple[FlowTerm, ...]:
    """Return the terms of a filter that flows can be asked; a word is searched in all texts of a flow."""
    return tuple(
        FlowTerm(term.field, tuple(map(_value, term.values)), term.negated) for term in wanted.known(FLOW).terms
    )


def _value(value: Value) -> FlowValue:
    if isinstance(value, Contains):
        return TextValue(value.text)
    if isinstance(value, InNetwork):
        return NetworkValue(str(value.network))
    if isinstance(value, NumberRange):
        return RangeValue(_whole(value.low, value.exclusive, 1), _whole(value.high, value.exclusive, -1))
    return PrefixValue(value.text)


def _whole(bound: float, exclusive: bool, inwards: int) -> int:
    """Return the first whole number inside of a bound."""
    if isinf(bound):
        return -_LARGEST if bound < 0 else _LARGEST
    number = ceil(bound) if inwards > 0 else floor(bound)
    return number + inwards if exclusive and number == bound else number


def describe_terms(terms: Iterable[FlowTerm]) -> str:
    """Return terms as they are typed: `src:10.0.0.7 proto:tcp dport:443`."""
    return " ".join(_describe(term) for term in terms)


def _describe(term: FlowTerm) -> str:
    head = f"{'!' if term.negated else ''}{term.field}{':' if term.field else ''}"
    return head + ",".join(_describe_value(value) for value in term.values)


def _describe_value(value: FlowValue) -> str:
    if isinstance(value, NetworkValue):
        network = ip_network(value.network)
        return str(ip_address(network.network_address)) if network.num_addresses == 1 else str(network)
    if isinstance(value, RangeValue):
        return str(value.low) if value.low == value.high else f"{value.low}-{value.high}"
    typed = value.text
    return f'"{typed}"' if " " in typed else typed
