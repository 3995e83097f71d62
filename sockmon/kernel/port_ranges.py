"""Ranges of ports, as /proc/sys/net/ipv4/ip_local_reserved_ports writes them, and what is left of one."""

from __future__ import annotations

from collections.abc import Iterable

from sockmon.errors import Unreadable

Ranges = Iterable[tuple[int, int]]
"""(first, last), both included."""


def parse_ranges(text: str) -> list[tuple[int, int]]:
    """`8080,30000-32767` as [(8080, 8080), (30000, 32767)]; raises Unreadable where it is none of that."""
    ranges = []
    for part in text.split(",") if text.strip() else ():
        low, dash, high = part.partition("-")
        try:
            first = int(low)
            last = int(high) if dash else first
        except ValueError:
            raise Unreadable("port ranges", f"not a list of ports: {text[:40]!r}") from None
        if not 0 <= first <= last <= 65535:
            raise Unreadable("port ranges", f"not a range of ports: {part[:40]!r}")
        ranges.append((first, last))
    return ranges


def free_table(low: int, high: int, reserved: Ranges = (), taken: Iterable[int] = ()) -> bytearray:
    """For every port 1 where it lies in low..high and is neither reserved nor taken, else 0."""
    table = bytearray(65536)
    table[low : high + 1] = b"\1" * max(0, high + 1 - low)
    for first, last in reserved:
        table[first : last + 1] = bytes(last + 1 - first)
    for port in taken:
        table[port] = 0
    return table


def reserved_in(low: int, high: int, reserved: Ranges) -> int:
    """How many ports of low..high are reserved."""
    return free_table(low, high).count(1) - free_table(low, high, reserved).count(1)


def usable(low: int, high: int, reserved: Ranges, listening: Iterable[int], bound: Iterable[int] = ()) -> int:
    """Ports that connect() may take towards one destination: those not reserved, listened on or bound."""
    return free_table(low, high, reserved, [*listening, *bound]).count(1)
