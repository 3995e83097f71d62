"""Lists of ports as the kernel writes them: `8080,30000-32767`, net.ipv4.ip_local_reserved_ports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

LAST_PORT = 65535
Ranges = Sequence[tuple[int, int]]
"""(first, last), both included, ascending, with a gap between any two."""

_PART = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse_ranges(text: str) -> Ranges:
    """Return the ports of a list, merged; raise ValueError if a part is neither a port nor a range."""
    return merged(_parse(part) for part in _parts(text))


def find_ranges(text: str) -> Ranges:
    """Return the ports of a list, merged; leave out what is neither a port nor a range."""
    return merged(_find(text))


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the same ports in as few ranges as possible."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def format_ranges(ranges: Iterable[tuple[int, int]]) -> str:
    """Return the list as the kernel prints it; empty without ports."""
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in merged(ranges))


def count_in(ranges: Iterable[tuple[int, int]], low: int, high: int) -> int:
    """Return how many of the ports lie in low..high."""
    return sum(max(0, min(last, high) - max(first, low) + 1) for first, last in merged(ranges))


def last_tried(low: int, high: int) -> int:
    """Return the last port of the range that connect() and bind(0) may choose.

    Both search an even number of ports, from a random even offset on (net/ipv4/inet_hashtables.c,
    __inet_hash_connect): of three ports the offset is always 0, so the last one is never tried. A larger range
    of an odd number leaves out a different port each time."""
    return low + 1 if high - low == 2 else high


def _parts(text: str) -> list[str]:
    return text.strip().split(",") if text.strip() else []


def _parse(part: str) -> tuple[int, int]:
    found = _PART.fullmatch(part.strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= LAST_PORT:
        raise ValueError(f"neither a port nor a range of ports: {part[:40]!r}")
    return first, last


def _find(text: str) -> Iterator[tuple[int, int]]:
    for part in _parts(text):
        try:
            yield _parse(part)
        except ValueError:
            continue
