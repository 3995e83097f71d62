"""The ephemeral range of a namespace, and which of its ports are left."""

from __future__ import annotations

from collections.abc import Iterable

from sockmon.errors import ReadError
from sockmon.kernel import sysctl
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.port_lists import LAST_PORT, Ranges, last_tried, parse_ranges

RANGE, RESERVED = "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"


def read(handle: NetnsHandle) -> tuple[int, int, Ranges]:
    """Return first and last port of the ephemeral range, and the reserved ones; raise ReadError if malformed."""
    text = sysctl.read(handle, RANGE)
    fields = text.split()
    if len(fields) != 2 or not all(map(_is_port, fields)):
        raise ReadError("ports", f"{RANGE} is not a range of ports: {text[:40]!r}")
    return int(fields[0]), int(fields[1]), parse_reserved(sysctl.read(handle, RESERVED))


def parse_reserved(text: str) -> Ranges:
    """Return the ranges of ip_local_reserved_ports; raise ReadError if it is not a list of ports."""
    try:
        return parse_ranges(text)
    except ValueError as error:
        raise ReadError("ports", f"{RESERVED}: {error}") from None


def _is_port(text: str) -> bool:
    return text.isdecimal() and len(text) <= 5 and int(text) <= LAST_PORT


def free_table(
    low: int, high: int, reserved: Iterable[tuple[int, int]] = (), taken: Iterable[int] = ()
) -> bytearray:
    """Return 1 for every port in low..high that is neither reserved nor taken, else 0."""
    table = bytearray(LAST_PORT + 1)
    table[low : high + 1] = b"\1" * max(0, high + 1 - low)
    for first, last in reserved:
        table[first : last + 1] = bytes(last + 1 - first)
    for port in taken:
        table[port] = 0
    return table


def intervals_of(table: bytearray) -> list[tuple[int, int]]:
    """Return first and last port of each run of ports that are 1 in `table`."""
    found, first = [], table.find(1)
    while first >= 0:
        end = table.find(0, first)
        last = (end if end >= 0 else len(table)) - 1
        found.append((first, last))
        first = table.find(1, last + 1)
    return found


def usable(low: int, high: int, reserved: Ranges, listening: Iterable[int], bound: Iterable[int] = ()) -> int:
    """Return how many ports connect() may take towards one destination: tried at all, not reserved, listened on or
    bound."""
    return free_table(low, last_tried(low, high), reserved, [*listening, *bound]).count(1)
