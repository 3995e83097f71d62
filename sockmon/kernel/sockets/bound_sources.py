"""Source addresses whose sockets were bound before they connected: bind(address, 0), then connect().

The kernel does not show this (INET_DIAG_BC_AUTO knows explicit port numbers only), but the ports do. bind(0) takes
the parity that connect() takes last (inet_csk_find_open_port of net/ipv4/inet_connection_sock.c), and a port that
it took serves one destination, while connect() reuses a port for every other destination.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.kernel.netlink import Incremental
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.bind_conflicts import conflicting_ports
from sockmon.kernel.sockets.bound_sockets import BoundPorts
from sockmon.kernel.sockets.source_ports import (
    MIN_PORTS,
    Scanned,
    SourcePorts,
    bound_in_pool,
    exclusive_ports,
    mark_ports,
    small_sources,
)
from sockmon.model.snapshot import BoundSource

MAX_SOURCES = 10
"""Sources that are examined and listed at most: those with the most sockets."""
_STRIDE = 9  # ports that connect() skips for each one that it takes towards the same destination


class BoundSources(NamedTuple):
    """The sources that bind before they connect."""

    sources: tuple[BoundSource, ...] = ()
    """Those with the most ports first, without owners."""
    inodes: tuple[array[int], ...] = ()
    addresses: frozenset[bytes] = frozenset()
    ports: frozenset[int] = frozenset()
    """Ports of all `sources` that are in use: connect() from another address cannot get them."""
    lost: int = 0
    """Ports that bound sockets hold, those of small sources and idle ones included."""
    small_sources: int = 0
    """Further sources, with fewer ports each, that seem to be bound; they are in `addresses`, not in `sources`."""
    small_inodes: array[int] = array("Q")
    numbered: int = 0
    """Ports of `lost` that were given to bind() as a number, which the kernel reports."""
    pool: frozenset[int] = frozenset()
    """Ports of small sources, of which `pooled` seem to be bound."""
    pooled: int = 0
    exhausted: bool | None = None
    """Whether no port is left for anybody; None if the kernel was not asked."""
    connectable: int = 0
    """If it is exhausted: the ports that are neither reserved, nor listened on, nor bound and idle."""


def bound_sources(
    scanned: Scanned,
    free: bytes | bytearray,
    low: int,
    idle: BoundPorts | None,
    known_sources: frozenset[bytes] = frozenset(),
    exhausted: bool | None = None,
    numbered: BoundPorts | None = None,
) -> Incremental[BoundSources]:
    """Return the sources among the scanned groups that bind before they connect.

    `free`: for each port 1 if it is in the range, which begins with `low`, and neither reserved nor listened on. A
    source with many more sockets than there are ports cannot be one. `known_sources`: the sources that the last
    scan found: when the whole range is in use, parity no longer shows who took it. `exhausted`: the kernel has no
    port for anybody, so a port that only one source uses was bound by it. `numbered`: the connections that bind()
    gave the number of their port."""
    waiting = idle.ports if idle else {}
    by_number = numbered.ports if numbered else {}
    v6only = idle.v6only if idle else frozenset[int]()
    sources = _candidates(scanned.used, scanned.source_of, free.count(1), waiting)
    pool = small_sources(scanned, {source.address for source in sources}, free.count(1))
    yield from mark_ports(scanned.chunks, [*sources, pool])
    own_ports = (yield from exclusive_ports(scanned, waiting)) if exhausted else {}
    found = []
    for source in sources:
        ports = waiting.get(source.address, set())
        chosen = by_number.get(source.address, set())
        proved = own_ports.get(source.address, 0) >= max(MIN_PORTS, source.used / 4)
        if (
            proved
            or _is_bound(source, free, low, source.address in known_sources)
            or len(ports) >= max(MIN_PORTS, source.marks.count(1))
            or len(chosen) >= max(MIN_PORTS, source.used / 2)
        ):
            described = _to_model(source, scanned.time_wait, free, low, ports, proved)
            blocked = conflicting_ports(source.address, _holders(sources, waiting), v6only) - source.ports()
            found.append((replace(described, numbered=len(chosen), blocked=len(blocked)), source))
        yield
    found.sort(key=lambda item: -item[0].used)
    return _add_up(scanned, free, low, idle, numbered, found, pool, exhausted)


def _add_up(
    scanned: Scanned,
    free: bytes | bytearray,
    low: int,
    idle: BoundPorts | None,
    numbered: BoundPorts | None,
    found: Sequence[tuple[BoundSource, SourcePorts]],
    pool: SourcePorts,
    exhausted: bool | None,
) -> BoundSources:
    """Return `found` with what the sources that bind, the small ones of `pool` included, take from others."""
    every_number = numbered.all_ports() if numbered else set[int]()
    taken = frozenset[int](every_number).union(*(source.ports() for _, source in found))
    pooled = bound_in_pool(pool, free, low, taken)
    held = idle.all_ports() if idle else set[int]()
    others = pool.ports() if pooled else set[int]()
    known = taken | held
    names = {source.address for _, source in found}
    small = _mostly_numbered(scanned, numbered.ports if numbered else {}) - names
    if pooled:
        small |= {scanned.source_of[number] for number in pool.groups}
    return BoundSources(
        tuple(described for described, _ in found),
        tuple(_inodes(source, idle) for _, source in found),
        frozenset(names | small),
        taken,
        free.count(1) if exhausted else min(len(known | others), len(known) + pooled),
        len(small),
        _small_inodes(pool if pooled else None, numbered, small),
        len(every_number),
        frozenset(others),
        pooled,
        exhausted,
        free.count(1) - sum(free[port] for port in held) if exhausted else 0,
    )


def _holders(sources: Sequence[SourcePorts], waiting: Mapping[bytes, set[int]]) -> dict[bytes, set[int]]:
    """Return the ports of each pool, connected or idle."""
    holders = {source.address: source.ports() for source in sources}
    return holders | {name: ports | holders.get(name, set()) for name, ports in waiting.items()}


def _mostly_numbered(scanned: Scanned, by_number: Mapping[bytes, set[int]]) -> set[bytes]:
    """Return the sources that gave bind() the number of the port for at least half of their sockets."""
    totals: Counter[bytes] = Counter()
    for number, sockets in scanned.used.items() if by_number else ():
        totals[scanned.source_of[number]] += sockets
    return {source for source, ports in by_number.items() if 2 * len(ports) >= totals[source]}


def _small_inodes(pool: SourcePorts | None, numbered: BoundPorts | None, small: set[bytes]) -> array[int]:
    inodes = array("Q", filter(None, pool.inodes)) if pool else array("Q")
    if numbered and not pool:
        for source in small:
            inodes.extend(numbered.inodes.get(source, ()))
    return inodes[: sock_diag.MAX_INODES]


def _candidates(
    used: Mapping[int, int],
    source_of: Sequence[bytes],
    usable: int,
    waiting: Mapping[bytes, set[int]],
) -> list[SourcePorts]:
    totals: Counter[bytes] = Counter({address: len(ports) for address, ports in waiting.items()})
    for number, sockets in used.items():
        totals[source_of[number]] += sockets
    max_sockets = 1.1 * usable
    idle = {address: len(ports) for address, ports in waiting.items()}
    likely = [
        address
        for address, total in totals.items()
        if total >= MIN_PORTS and total - idle.get(address, 0) <= max_sockets
    ]
    likely.sort(key=lambda address: -totals[address])
    kept = {address: SourcePorts(address) for address in likely[:MAX_SOURCES]}
    for number, sockets in used.items() if kept else ():
        source = kept.get(source_of[number])
        if source is not None:
            source.groups.append(number)
            source.sockets.append(sockets)
    return list(kept.values())


def _is_bound(source: SourcePorts, free: bytes | bytearray, low: int, was_found: bool) -> bool:
    """Return whether the ports of `source` look as if bind() had taken them, not connect().

    For each destination connect() fills the parity of the range's first port before the other one, and bind(0)
    does the opposite. If parity shows nothing (explicit port numbers), the other sign is ports that never serve a
    second destination although there were many occasions: connect() walks from a random port in steps of about
    nine, so two destinations may well miss each other by chance, but sixteen pairs hardly."""
    used = source.used
    total = sum(source.sockets)
    if used < MIN_PORTS or total > 1.1 * used:
        return False
    evens, odds = free[low::2].count(1), free[low + 1 :: 2].count(1)
    odd = _count_set(source.marks[low + 1 :: 2])
    last = min(used, odds)
    by_connect = sum(max(0, sockets - evens) for sockets in source.sockets)
    undecided = by_connect > last / 2 and used - odd > 0.9 * evens
    if last and odd >= 0.9 * last and (was_found or not undecided):
        return True
    expected, groups = source.expected_shared(evens + odds), len(source.groups)
    meetings = min(_STRIDE * (groups - 1) * total / max(evens + odds, 1), groups * (groups - 1) / 2)
    return expected >= 8 and meetings >= 16 and source.marks.count(2) <= 0.05 * expected


def _count_set(marks: bytes | bytearray) -> int:
    return len(marks) - marks.count(0)


def _to_model(
    source: SourcePorts,
    time_wait: Mapping[int, int],
    free: bytes | bytearray,
    low: int,
    ports: set[int],
    proved: bool,
) -> BoundSource:
    own = bytearray(source.marks)
    for port in ports:
        own[port] = own[port] or free[port]
    used = _count_set(own)
    address, device = sock_diag.split_pool(source.address)
    return BoundSource(
        source=sock_diag.format_address(address),
        used=used,
        idle=used - _count_set(source.marks),
        time_wait=min(sum(time_wait.get(number, 0) for number in source.groups), _count_set(source.marks)),
        destinations=len(source.groups),
        shared=source.marks.count(2),
        expected=round(source.expected_shared(free.count(1)), 1),
        odd=round(_count_set(own[low + 1 :: 2]) / max(used, 1), 3),
        owners=(),
        proved=proved,
        device=str(device or ""),
    )


def _inodes(source: SourcePorts, idle: BoundPorts | None) -> array[int]:
    inodes = array("Q", filter(None, source.inodes))
    if idle and source.address in idle.inodes:
        inodes.extend(idle.inodes[source.address])
    return inodes[: sock_diag.MAX_INODES]
