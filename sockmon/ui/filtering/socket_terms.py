"""The filter as the agent compares it, for the list of sockets: rows that do not match never come here."""

from __future__ import annotations

from math import ceil, floor, inf

from sockmon.model.conntrack_flows import FlowValue, NetworkValue, PrefixValue, RangeValue, TextValue
from sockmon.model.socket_list import SocketTerm
from sockmon.ui.filtering.filter import ALL, Filter, KnownFields
from sockmon.ui.filtering.term_values import Contains, InNetwork, NumberRange, Prefix, Value

KNOWN: KnownFields = dict.fromkeys(
    (
        *("src", "dst", "sport", "dport", "port", "state", "proto", "proc", "pid", "user", "ct"),
        *("recvq", "sendq", "q", "rtt", "retrans"),
    ),
    ALL,
)
"""Fields of the list of sockets."""
_SCALES = {"rtt": 1000}
"""Field → what the kernel has of its unit: microseconds."""
_LARGEST = 1 << 53
"""The largest number that JSON carries exactly."""


def socket_terms(wanted: Filter) -> tuple[SocketTerm, ...]:
    """Return the terms that sockets can be compared with."""
    return tuple(
        SocketTerm(
            term.field, tuple(_value(value, _SCALES.get(term.field, 1)) for value in term.values), term.negated
        )
        for term in wanted.known(KNOWN).terms
    )


def _value(value: Value, scale: int) -> FlowValue:
    if isinstance(value, Contains):
        return TextValue(value.text)
    if isinstance(value, Prefix):
        return PrefixValue(value.text)
    if isinstance(value, InNetwork):
        return NetworkValue(str(value.network))
    return _range(value, scale)


def _range(value: NumberRange, scale: int) -> RangeValue:
    """Return the whole numbers in the range."""
    low, high = value.low * scale, value.high * scale
    first = 0 if low == -inf else floor(low) + 1 if value.exclusive else ceil(low)
    last = _LARGEST if high == inf else ceil(high) - 1 if value.exclusive else floor(high)
    return RangeValue(max(first, -_LARGEST), min(last, _LARGEST))
