"""Source addresses whose sockets were bound before they connected: bind(address, 0), then connect().

The kernel does not tell (INET_DIAG_BC_AUTO knows explicit port numbers only), but the ports do. bind(0) takes the
parity that connect() leaves for last (inet_csk_find_open_port of net/ipv4/inet_connection_sock.c), and a port that
it took serves one destination, where connect() uses a port again for every other destination.
"""

from __future__ import annotations

import os
import re
import socket
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sockmon.kernel import sock_diag
from sockmon.kernel.netlink import Steps
from sockmon.model.snapshot import BoundSource

LEAST = 20
"""Ports of a source below which its parity proves nothing."""
TOP = 10
"""Sources that are looked at, and listed, at most: those with the most sockets."""
INODES = 65_536
"""Inodes that are kept of one source at most."""
_STRIDE = 9  # ports that connect() moves on for each one that it takes towards the same destination

Chunk = tuple["array[int]", "array[int]", "array[int]"]
"""Group number, port and inode of each socket."""


class Idle(NamedTuple):
    """Sockets that are bound, and neither connected nor listening."""

    ports: Mapping[bytes, set[int]]
    """By address, IPv4 for v4-mapped ones."""
    inodes: Mapping[bytes, array[int]]
    beyond: frozenset[int] = frozenset()
    """Ports outside of the range, of whatever address."""

    def all_ports(self) -> set[int]:
        """The ports of every address."""
        return set().union(*self.ports.values())


class Bound(NamedTuple):
    """The sources that bind before they connect."""

    sources: tuple[BoundSource, ...] = ()
    """Most ports first, owners not yet known."""
    inodes: tuple[array[int], ...] = ()
    addresses: frozenset[bytes] = frozenset()
    ports: frozenset[int] = frozenset()
    """Ports of all of `sources` that are in use: no connect() from another address gets them."""


def idle_bound(diag: socket.socket, low: int, high: int) -> Steps[Idle | None]:
    """Who holds ports of low..high with sockets that are bound and neither connected nor listening, and which are
    held beyond; Unreadable.

    None before Linux 6.8: older kernels do not know the state BOUND_INACTIVE and answer with nothing, which
    must not pass for "none". There is no way to ask but to bind a port, so the release decides."""
    if not _knows_bound_inactive(os.uname().release):
        return None
    ports: defaultdict[bytes, set[int]] = defaultdict(set)
    inodes: defaultdict[bytes, array[int]] = defaultdict(lambda: array("Q"))
    beyond: set[int] = set()

    def absorb(block: bytes, stride: int) -> None:
        rows = zip(
            range(0, len(block), stride),
            sock_diag.local_ports(block, stride),
            sock_diag.inodes(block, stride),
            strict=True,
        )
        for at, port, inode in rows:
            if not low <= port <= high:
                beyond.add(port)
                continue
            source = sock_diag.unmapped(sock_diag.addresses(block, at)[0])
            ports[source].add(port)
            if inode and len(inodes[source]) < INODES:
                inodes[source].append(inode)

    yield from sock_diag.tcp(diag, sock_diag.BOUND_INACTIVE, absorb)
    return Idle(ports, inodes, frozenset(beyond))


def _knows_bound_inactive(release: str) -> bool:
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= (6, 8)


@dataclass(eq=False)
class _Source:
    """What is known of one source address."""

    address: bytes
    groups: list[int] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)
    """Of each of `groups`."""
    first: array[int] = field(default_factory=lambda: array("I", bytes(4 * 65536)))
    """Per port the first group that was met there, plus one."""
    seen: bytearray = field(default_factory=lambda: bytearray(65536))
    """Per port 1 where it serves one destination, 2 where it serves more."""
    inodes: array[int] = field(default_factory=lambda: array("Q"))

    def expected(self, ports: int) -> float:
        """How many ports would be shared, had each destination got its own at random."""
        total = sum(self.sockets)
        return (total * total - sum(count * count for count in self.sockets)) / (2 * max(ports, 1))


def bound_sources(
    chunks: Iterable[Chunk],
    used: Mapping[int, int],
    time_wait: Mapping[int, int],
    source_of: Sequence[bytes],
    free: bytes | bytearray,
    low: int,
    idle: Idle | None,
    known: frozenset[bytes] = frozenset(),
) -> Steps[Bound]:
    """Which sources of the groups that the walk found bind before they connect.

    `used` and `time_wait`: sockets by group; `source_of`: a group's address; `free`: per port of the
    range, which begins with `low`, 1 where it is neither reserved nor listened on. A source with many more sockets
    than there are ports cannot be one. `known`: the sources that the walk before found: when the whole range is
    taken its parity no longer tells who took it."""
    waiting = idle.ports if idle else {}
    sources = _candidates(used, source_of, free.count(1), waiting)
    yield from _look(chunks, sources)
    found = []
    for source in sources:
        ports = waiting.get(source.address, set())
        if _is_bound(source, free, low, source.address in known) or len(ports) >= max(LEAST, source.seen.count(1)):
            found.append((_described(source, time_wait, free, low, ports), source))
        yield
    found.sort(key=lambda item: -item[0].used)
    return Bound(
        tuple(described for described, _ in found),
        tuple(_inodes(source, idle) for _, source in found),
        frozenset(source.address for _, source in found),
        frozenset(port for _, source in found for port, mark in enumerate(source.seen) if mark),
    )


def _candidates(
    used: Mapping[int, int],
    source_of: Sequence[bytes],
    usable: int,
    waiting: Mapping[bytes, set[int]],
) -> list[_Source]:
    totals: Counter[bytes] = Counter({address: len(ports) for address, ports in waiting.items()})
    for number, sockets in used.items():
        totals[source_of[number]] += sockets
    most = 1.1 * usable
    idle = {address: len(ports) for address, ports in waiting.items()}
    likely = [
        address for address, total in totals.items() if total >= LEAST and total - idle.get(address, 0) <= most
    ]
    likely.sort(key=lambda address: -totals[address])
    kept = {address: _Source(address) for address in likely[:TOP]}
    for number, sockets in used.items() if kept else ():
        source = kept.get(source_of[number])
        if source is not None:
            source.groups.append(number)
            source.sockets.append(sockets)
    return list(kept.values())


def _look(chunks: Iterable[Chunk], sources: Iterable[_Source]) -> Steps[None]:
    """Note for every port of the sources whether it serves one destination or more."""
    marks = {
        number: (source.first, source.seen, source.inodes.append) for source in sources for number in source.groups
    }
    if not marks:
        return
    for chunk in chunks:
        for number, port, inode in zip(*chunk, strict=True):
            if number in marks:
                first, seen, keep = marks[number]
                known = first[port]
                if not known:
                    first[port] = number + 1
                    seen[port] = 1
                elif known != number + 1:
                    seen[port] = 2
                keep(inode)
        yield


def _is_bound(source: _Source, free: bytes | bytearray, low: int, known: bool) -> bool:
    """Whether the ports of `source` look as if bind() had taken them, not connect().

    With each destination connect() fills the parity of the range's first port before it touches the other, and
    bind(0) does the opposite. Where parity says nothing (explicit port numbers), ports that are never used for a
    second destination do, if there were many occasions: connect() walks from a random port in steps of about
    nine, so that two destinations may well miss each other by chance, and sixteen pairs hardly."""
    used = 65536 - source.seen.count(0)
    total = sum(source.sockets)
    if used < LEAST or total > 1.1 * used:
        return False
    evens, odds = free[low::2].count(1), free[low + 1 :: 2].count(1)
    odd = _taken(source.seen[low + 1 :: 2])
    last = min(used, odds)
    by_connect = sum(max(0, sockets - evens) for sockets in source.sockets)
    undecided = by_connect > last / 2 and used - odd > 0.9 * evens
    if last and odd >= 0.9 * last and (known or not undecided):
        return True
    expected, groups = source.expected(evens + odds), len(source.groups)
    meetings = min(_STRIDE * (groups - 1) * total / (evens + odds), groups * (groups - 1) / 2)
    return expected >= 8 and meetings >= 16 and source.seen.count(2) <= 0.05 * expected


def _taken(seen: bytes | bytearray) -> int:
    return len(seen) - seen.count(0)


def _described(
    source: _Source, time_wait: Mapping[int, int], free: bytes | bytearray, low: int, ports: set[int]
) -> BoundSource:
    own = bytearray(source.seen)
    for port in ports:
        own[port] = own[port] or free[port]
    used = _taken(own)
    return BoundSource(
        source=sock_diag.text(source.address),
        used=used,
        idle=used - _taken(source.seen),
        time_wait=min(sum(time_wait.get(number, 0) for number in source.groups), _taken(source.seen)),
        destinations=len(source.groups),
        shared=source.seen.count(2),
        expected=round(source.expected(free.count(1)), 1),
        odd=round(_taken(own[low + 1 :: 2]) / max(used, 1), 3),
        owners=(),
    )


def _inodes(source: _Source, idle: Idle | None) -> array[int]:
    inodes = array("Q", filter(None, source.inodes))
    if idle and source.address in idle.inodes:
        inodes.extend(idle.inodes[source.address])
    return inodes[:INODES]
