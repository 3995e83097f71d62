"""Whether a fact of a socket matches the values of a term: texts, numbers, addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network

from sockmon.kernel.sockets.sock_diag import format_address, unmapped
from sockmon.model.conntrack_flows import FlowValue, NetworkValue, PrefixValue, RangeValue, TextValue

_TERMS = 256
"""Terms whose test is kept."""
_CACHED = 65_536
"""Facts whose answer is kept: a million sockets have fewer different addresses, ports or queues."""


@lru_cache(_TERMS)
def text_test(values: tuple[FlowValue, ...]) -> Callable[[str], bool]:
    """Return whether a text contains, or begins with, one of the texts among `values`."""
    inside = tuple(value.text.casefold() for value in values if isinstance(value, TextValue))
    begins = tuple(value.text.casefold() for value in values if isinstance(value, PrefixValue))

    def test(text: str) -> bool:
        folded = text.casefold()
        return any(each in folded for each in inside) or folded.startswith(begins)

    return lru_cache(_CACHED)(test)


@lru_cache(_TERMS)
def number_test(values: tuple[FlowValue, ...]) -> Callable[[int | None], bool]:
    """Return whether a number lies in one of the ranges among `values`; an unknown one does not."""
    ranges = tuple((value.low, value.high) for value in values if isinstance(value, RangeValue))

    def test(number: int | None) -> bool:
        return number is not None and any(low <= number <= high for low, high in ranges)

    return test


@lru_cache(_TERMS)
def address_test(values: tuple[FlowValue, ...]) -> Callable[[bytes], bool]:
    """Return whether an address of four or sixteen bytes lies in one of the networks, or is written like one of
    the texts; a v4-mapped address is IPv4."""
    networks = tuple(ip_network(value.network) for value in values if isinstance(value, NetworkValue))
    written = text_test(values)

    def test(address: bytes) -> bool:
        plain = unmapped(address)
        return any(ip_address(plain) in network for network in networks) or written(format_address(plain))

    return lru_cache(_CACHED)(test)


def packed(address: str) -> bytes:
    """Return an IP address as bytes; empty if it is none."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return b""
