"""/proc/net/sockstat, sockstat6 and protocols: how many sockets there are, and what they hold in memory.

One file, two scopes (net/ipv4/proc.c): `used`, `inuse` and `tw` are the namespace's; `orphan`, `alloc` and `mem`
are the whole host's, in whichever namespace they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sockmon.errors import Absent, Unreadable
from sockmon.model.snapshot import Memory, Sockstat

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

Lines = dict[str, dict[str, int]]


class Shared(NamedTuple):
    """The host-wide numbers of /proc/net/sockstat; memory in pages."""

    tcp_pages: int
    udp_pages: int
    orphans: int
    tcp_allocated: int


def read(door: Door) -> tuple[Sockstat, Shared]:
    """The sockets of the door's namespace, and the host-wide numbers beside them; raises Unreadable."""
    return parse(door.read("net/sockstat"), _optional(door, "net/sockstat6"), _optional(door, "net/protocols"))


def memory(shared: Shared, sysctls: dict[str, str]) -> Memory:
    """`shared` with its limits, which the initial namespace alone shows (sysctls by key; absent is None)."""
    orphans = sysctls.get("net.ipv4.tcp_max_orphans")
    return Memory(
        *shared,
        tcp_mem=_triple(sysctls.get("net.ipv4.tcp_mem")),
        max_orphans=int(orphans) if orphans is not None and orphans.isdecimal() else None,
    )


def parse(sockstat: bytes, sockstat6: bytes | None, protocols: bytes | None) -> tuple[Sockstat, Shared]:
    """The three files as one; None is a file that this kernel does not have. Raises Unreadable if malformed."""
    v4 = _lines("sockstat", sockstat)
    v6 = _lines("sockstat6", sockstat6 or b"")
    own = Sockstat(
        used=_must(v4, "sockets", "used"),
        tcp_inuse=_must(v4, "TCP", "inuse"),
        tcp6_inuse=v6.get("TCP6", {}).get("inuse"),
        time_wait=_must(v4, "TCP", "tw"),
        udp_inuse=_must(v4, "UDP", "inuse"),
        udp6_inuse=v6.get("UDP6", {}).get("inuse"),
        raw_inuse=_must(v4, "RAW", "inuse"),
        raw6_inuse=v6.get("RAW6", {}).get("inuse"),
        unix=_unix(protocols) if protocols is not None else None,
    )
    return own, Shared(
        tcp_pages=_must(v4, "TCP", "mem"),
        udp_pages=_must(v4, "UDP", "mem"),
        orphans=_must(v4, "TCP", "orphan"),
        tcp_allocated=_must(v4, "TCP", "alloc"),
    )


def _lines(reader: str, text: bytes) -> Lines:
    """`TCP: inuse 1 orphan 0` as {"TCP": {"inuse": 1, "orphan": 0}}."""
    found: Lines = {}
    for line in text.decode("ascii", "replace").splitlines():
        name, colon, rest = line.partition(":")
        fields = rest.split()
        values = fields[1::2]
        if not colon or len(fields) % 2 or not all(map(str.isdecimal, values)):
            raise Unreadable(reader, "has a line that is not made of names and numbers")
        found[name] = dict(zip(fields[::2], map(int, values), strict=True))
    return found


def _must(lines: Lines, name: str, field: str) -> int:
    try:
        return lines[name][field]
    except KeyError:
        raise Unreadable("sockstat", f"has no {name} {field}") from None


def _unix(protocols: bytes) -> int | None:
    """UNIX sockets of the namespace: the `sockets` column, over the stream protocol too where it is its own."""
    header, *rows = [line.split() for line in protocols.splitlines()] or [[]]
    if b"sockets" not in header:
        return None
    column = header.index(b"sockets")
    counts = [row[column] for row in rows if row[:1] in ([b"UNIX"], [b"UNIX-STREAM"]) and len(row) > column]
    # Before Linux 5.15 there is one protocol UNIX; a row is -1 where nothing is counted.
    return sum(map(int, counts)) if counts and all(map(bytes.isdigit, counts)) else None


def _triple(value: str | None) -> tuple[int, int, int] | None:
    numbers = value.split() if value is not None else []
    if len(numbers) != 3 or not all(map(str.isdecimal, numbers)):
        return None
    low, pressure, high = map(int, numbers)
    return low, pressure, high


def _optional(door: Door, path: str) -> bytes | None:
    try:
        return door.read(path)
    except Absent:
        return None
