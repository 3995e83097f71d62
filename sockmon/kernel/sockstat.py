"""/proc/net/sockstat, sockstat6 and protocols: how many sockets there are, and how much memory they use.

One file, two scopes (net/ipv4/proc.c): `used`, `inuse` and `tw` are the namespace's; `orphan`, `alloc` and `mem`
are those of the whole host, in whichever namespace they are read.
"""

from __future__ import annotations

from typing import NamedTuple

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.integers import is_count, parse_integer
from sockmon.kernel.missing import note_missing
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.model.snapshot import Memory, Missing, Sockstat

Lines = dict[str, dict[str, int]]


class HostSockets(NamedTuple):
    """The host-wide numbers of /proc/net/sockstat; memory in pages."""

    tcp_pages: int
    udp_pages: int
    orphans: int
    tcp_allocated: int


def read(handle: NetnsHandle, missing: list[Missing] | None = None) -> tuple[Sockstat, HostSockets]:
    """Return the sockets of the handle's namespace, and the host-wide numbers; raise ReadError.

    What is only in sockstat6 or protocols is None if these cannot be read; `missing` has the reason."""
    v4 = handle.read("net/sockstat")
    v6, protocols = _optional(handle, "net/sockstat6", missing), _optional(handle, "net/protocols", missing)
    try:
        return parse(v4, v6, protocols)
    except ReadError as error:
        if error.reader != "sockstat6":
            raise
        note_missing(missing, error)
        return parse(v4, None, protocols)


def add_limits(shared: HostSockets, sysctls: dict[str, str]) -> Memory:
    """Return `shared` with its limits, which only the initial namespace shows (`sysctls` by key; an absent one is
    None)."""
    orphans = sysctls.get("net.ipv4.tcp_max_orphans")
    return Memory(
        *shared,
        tcp_mem=_triple(sysctls.get("net.ipv4.tcp_mem")),
        max_orphans=int(orphans) if orphans and is_count(orphans) else None,
    )


def parse(sockstat: bytes, sockstat6: bytes | None, protocols: bytes | None) -> tuple[Sockstat, HostSockets]:
    """Return the three files as one; None is a file that this kernel does not have. Raise ReadError if one is
    malformed."""
    v4 = _lines("sockstat", sockstat)
    v6 = _lines("sockstat6", sockstat6 or b"")
    own = Sockstat(
        used=_required(v4, "sockets", "used"),
        tcp_inuse=_required(v4, "TCP", "inuse"),
        tcp6_inuse=v6.get("TCP6", {}).get("inuse"),
        time_wait=_required(v4, "TCP", "tw"),
        udp_inuse=_required(v4, "UDP", "inuse"),
        udp6_inuse=v6.get("UDP6", {}).get("inuse"),
        raw_inuse=_required(v4, "RAW", "inuse"),
        raw6_inuse=v6.get("RAW6", {}).get("inuse"),
        unix=_unix(protocols) if protocols is not None else None,
    )
    return own, HostSockets(
        tcp_pages=_required(v4, "TCP", "mem"),
        udp_pages=_required(v4, "UDP", "mem"),
        orphans=_required(v4, "TCP", "orphan"),
        tcp_allocated=_required(v4, "TCP", "alloc"),
    )


def _lines(reader: str, text: bytes) -> Lines:
    """Return `TCP: inuse 1 orphan 0` as {"TCP": {"inuse": 1, "orphan": 0}}."""
    found: Lines = {}
    for line in text.decode("ascii", "replace").splitlines():
        name, colon, rest = line.partition(":")
        fields = rest.split()
        values = fields[1::2]
        try:
            found[name] = dict(zip(fields[::2], map(_count, values), strict=True))
        except ValueError:
            colon = ""
        if not colon:
            raise ReadError(reader, "has a line that is not made of names and numbers")
    return found


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return parse_integer(text)


def _required(lines: Lines, name: str, field: str) -> int:
    try:
        return lines[name][field]
    except KeyError:
        raise ReadError("sockstat", f"has no {name} {field}") from None


def _unix(protocols: bytes) -> int | None:
    """Return the UNIX sockets of the namespace: the column `sockets`, of the stream protocol too if it has its own
    row."""
    header, *rows = [line.split() for line in protocols.splitlines()] or [[]]
    if b"sockets" not in header:
        return None
    column = header.index(b"sockets")
    counts = [row[column] for row in rows if row[:1] in ([b"UNIX"], [b"UNIX-STREAM"]) and len(row) > column]
    # Before Linux 5.15 there is one protocol UNIX; a row is -1 if nothing is counted.
    return sum(map(int, counts)) if counts and all(map(is_count, counts)) else None


def _triple(value: str | None) -> tuple[int, int, int] | None:
    numbers = value.split() if value is not None else []
    if len(numbers) != 3 or not all(map(is_count, numbers)):
        return None
    low, pressure, high = map(int, numbers)
    return low, pressure, high


def _optional(handle: NetnsHandle, path: str, missing: list[Missing] | None) -> bytes | None:
    try:
        return handle.read(path)
    except NotPresent:
        return None
    except ReadError as error:
        note_missing(missing, error)
        return None
