"""Ephemeral ports by (source, destination, destination port), which decides about EADDRNOTAVAIL."""

from __future__ import annotations

import socket
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import compress
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.errors import ReadError
from sockmon.kernel.device_names import device_name
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.bound_sockets import BoundPorts, read_numbered
from sockmon.kernel.sockets.bound_sources import BoundSources, bound_sources
from sockmon.kernel.sockets.diag_filter import local_port_filter
from sockmon.kernel.sockets.port_ranges import free_table, intervals_of
from sockmon.kernel.sockets.sock_diag import LISTEN, SYN_RECV, TIME_WAIT, Diag
from sockmon.kernel.sockets.source_ports import MIN_PORTS, Scanned
from sockmon.model.snapshot import PortGroup
from sockmon.port_lists import Ranges

MAX_INTERVALS = 256
"""Intervals of ports that the kernel compares at most; the rest of a finer filter is applied here."""
ASK_FROM = 0.95
"""Share of the usable ports that sockets of any address hold, from which on the kernel is asked for one."""

MIN_WINDOW = 10
"""Ports of a group below which it is not judged whether they fill a range of their own."""

# Messages of these are shorter: two dumps keep the messages of each datagram at one length.
_SHORT = 1 << TIME_WAIT | 1 << SYN_RECV
_LONG = sock_diag.EVERY_STATE & ~_SHORT & ~(1 << LISTEN)
# idiag_dport, idiag_src and idiag_dst are neighbours: one slice names the group.
_KEY_SIZE = {int(socket.AF_INET): 2 + 16 + 4, int(socket.AF_INET6): 2 + 16 + 16}


class PortGroups(NamedTuple):
    """The largest groups, and the sums of the others."""

    groups: tuple[PortGroup, ...]
    """The largest first, without owners."""
    inodes: tuple[array[int], ...]
    """For each of `groups` the sockets that a process holds, at most MAX_INODES."""
    groups_total: int
    other_used: int
    """Sockets of the groups that are not in `groups`."""
    bound: BoundSources = BoundSources()
    """The source addresses that bind before they connect."""
    unanswered: bool = False
    """True if nearly all ports are in use, and the kernel could not be asked whether one is left."""


def port_groups(
    diag: Diag,
    low: int,
    high: int,
    reserved: Ranges,
    listening: Iterable[int],
    time_wait: bool,
    top: int = 20,
    idle: BoundPorts | None = None,
    known_sources: frozenset[bytes] = frozenset(),
    finds_port: Callable[[], bool | None] | None = None,
) -> Incremental[PortGroups]:
    """Group the sockets on usable ports of low..high, in every state but LISTEN; raise ReadError.

    The kernel filters by port, so only what passes costs time. `time_wait`: also count TIME_WAIT (and SYN_RECV),
    in a second dump; False while sockstat says that there are none. `idle`: the sockets that are only bound, which
    count for the sources that bind; `known_sources`: those sources as of the last scan. `finds_port` asks the
    kernel for a port, if nearly all of them are in use."""
    free = free_table(low, high, reserved, listening)
    intervals = intervals_of(free)
    exact = len(intervals) <= MAX_INTERVALS
    if not exact:
        intervals[MAX_INTERVALS - 1 :] = [(intervals[MAX_INTERVALS - 1][0], intervals[-1][1])]
    columns = _SocketColumns(None if exact else free, free)
    numbered = None
    if intervals:
        bytecode = local_port_filter(intervals)
        yield from sock_diag.tcp(diag, _LONG, columns.absorb, bytecode)
        if time_wait:
            yield from sock_diag.tcp(diag, _SHORT, columns.absorb, bytecode)
        if columns.used.total() >= MIN_PORTS:
            numbered = yield from read_numbered(diag, _LONG, bytecode, free)
    asked = finds_port is not None and _must_ask(columns, free, idle)
    found = finds_port() if finds_port and asked else None
    exhausted = None if found is None else not found
    scanned = Scanned(columns.chunks, columns.used, columns.time_wait, columns.numbers.sources())
    bound = yield from bound_sources(scanned, free, low, idle, known_sources, exhausted, numbered)
    groups = yield from columns.grouped(top, bound)
    return _name_devices(diag, groups._replace(unanswered=asked and found is None))


def _name_devices(diag: Diag, found: PortGroups) -> PortGroups:
    """Return the same with the names of devices instead of their numbers, which are a number only in here."""
    indexes = {row.device for row in found.groups} | {row.device for row in found.bound.sources}
    if indexes <= {""} or not isinstance(diag, socket.socket):
        return found
    names = {index: device_name(diag, int(index)) if index else "" for index in indexes}
    groups = tuple(replace(each, device=names[each.device]) for each in found.groups)
    sources = tuple(replace(each, device=names[each.device]) for each in found.bound.sources)
    return found._replace(groups=groups, bound=found.bound._replace(sources=sources))


def _must_ask(columns: _SocketColumns, free: bytearray, idle: BoundPorts | None) -> bool:
    """Return whether so many ports are in use that the kernel has to be asked if any is left."""
    taken = idle.all_ports() if idle else set[int]()
    enough = ASK_FROM * free.count(1)
    if free.count(1) < MIN_PORTS or columns.used.total() + len(taken) < enough:
        return False
    for _, ports, _ in columns.chunks:
        taken.update(ports)
        if len(taken) >= enough:
            return True
    return len(taken) >= enough


class _SocketColumns:
    """Group, port and inode of every socket as columns: no object for a socket outlives its datagram."""

    def __init__(self, free: bytearray | None, usable: bytearray) -> None:
        self.free = free
        """Which ports count; None if the kernel's filter is exact."""
        self.usable = usable
        self.total = usable.count(1)
        self.numbers = _GroupNumbers()
        self.used: Counter[int] = Counter()
        self.time_wait: Counter[int] = Counter()
        self.chunks: list[tuple[array[int], array[int], array[int]]] = []

    def absorb(self, block: bytes, stride: int) -> None:
        groups = array("I", map(self.numbers.__getitem__, _keys(block, stride)))
        ports = sock_diag.local_ports(block, stride)
        inodes = array("I", sock_diag.inodes(block, stride))
        states = block[sock_diag.STATE :: stride]
        if self.free is not None:
            kept = bytes(map(self.free.__getitem__, ports))
            groups, ports, inodes = (
                array(each.typecode, compress(each, kept)) for each in (groups, ports, inodes)
            )
            states = bytes(compress(states, kept))
        self.used.update(groups)
        if TIME_WAIT in states:
            self.time_wait.update(compress(groups, map(TIME_WAIT.__eq__, states)))
        self.chunks.append((groups, ports, inodes))

    def grouped(self, top: int, bound: BoundSources) -> Incremental[PortGroups]:
        """Read the largest groups again: a socket that both dumps show takes one port, not two."""
        largest = [number for number, _ in self.used.most_common(top)]
        ports: dict[int, set[int]] = {number: set() for number in (*largest, *self._unbound(largest).values())}
        inodes: dict[int, array[int]] = {number: array("Q") for number in ports}
        keep = {number: (ports[number].add, inodes[number].append) for number in ports}
        is_kept = bytes(number in keep for number in range(len(self.numbers.keys_in_order)))
        for chunk in self.chunks:
            kept = bytes(map(is_kept.__getitem__, chunk[0]))
            for number, port, inode in zip(*(compress(column, kept) for column in chunk), strict=True):
                add_port, add_inode = keep[number]
                add_port(port)
                add_inode(inode)
            yield
        largest.sort(key=lambda number: -len(ports[number]))
        return PortGroups(
            tuple(self._group(number, ports, bound) for number in largest),
            tuple(array("Q", filter(None, inodes[number]))[: sock_diag.MAX_INODES] for number in largest),
            len(self.used),
            self.used.total() - sum(self.used[number] for number in largest),
            bound,
        )

    def _unbound(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return for the groups that are bound to a device the group of the same addresses that is not."""
        keys = {number: self.numbers.keys_in_order[number] for number in numbers}
        twins = {number: self.numbers.get(key[:-4]) for number, key in keys.items() if _source(key)[1]}
        return {number: twin for number, twin in twins.items() if twin is not None}

    def _group(self, number: int, ports: Mapping[int, set[int]], bound: BoundSources) -> PortGroup:
        key, own = self.numbers.keys_in_order[number], ports[number]
        source, device = _source(key)
        twin = self._unbound([number]).get(number)
        unbound = ports[twin] - own if twin is not None else set[int]()
        blocked = _blocked(sock_diag.pool(source, device), own | unbound, bound)
        return PortGroup(
            sock_diag.format_address(source),
            sock_diag.format_address(key[18 : 18 + len(source)]),
            int.from_bytes(key[:2], "big"),
            len(own),
            min(len(own), self.time_wait[number]),
            (),
            blocked,
            str(device or ""),
            len(unbound),
            None
            if sock_diag.pool(source, device) in bound.addresses
            else _full_window(own, self.usable, self.total),
        )


def _full_window(ports: set[int], usable: bytearray, total: int) -> tuple[int, int] | None:
    """Return first and last of the usable ports that follow each other and that `ports` has all, if these are most
    of `ports`, but not half of the `total` usable ones; sockets of other programs in the group may have others.

    connect() uses one parity only until half of the range is taken, unless the socket has a range of its own."""
    if len(ports) < MIN_WINDOW or 2 * len(ports) >= total:
        return None
    low, high = min(ports), max(ports)
    if usable.count(1, low, high + 1) == len(ports):
        return low, high
    odd = sum(map((1).__and__, ports))
    if min(odd, len(ports) - odd) < MIN_WINDOW // 2:
        return None  # no run of that length: only this is computed for nearly all groups
    candidates = list(compress(range(low, high + 1), usable[low : high + 1]))
    taken = bytes(map(ports.__contains__, candidates))
    longest = max(map(len, taken.split(b"\0")))
    if longest < MIN_WINDOW or 2 * longest < len(ports):
        return None
    first = taken.index(b"\1" * longest)
    return candidates[first], candidates[first + longest - 1]


def _blocked(source: bytes, ports: set[int], bound: BoundSources) -> int:
    """Return how many ports this group cannot get because sockets of other sources are bound to them."""
    if source in bound.addresses:
        return 0
    if bound.exhausted:
        return max(0, bound.connectable - len(ports))
    return len(bound.ports - ports) + min(bound.pooled, len(bound.pool - bound.ports - ports))


def _source(key: bytes) -> tuple[bytes, int]:
    """Return the source address of a group, and the index of the device that its sockets are bound to; 0: none."""
    size = _KEY_SIZE[socket.AF_INET if len(key) < _KEY_SIZE[socket.AF_INET6] else socket.AF_INET6]
    return key[2 : 6 if size == _KEY_SIZE[socket.AF_INET] else 18], int.from_bytes(key[size:], sys.byteorder)


class _GroupNumbers(dict[bytes, int]):
    """Numbers the groups as they appear; a v4-mapped one gets the number of the same group of IPv4."""

    def __init__(self) -> None:
        self.keys_in_order: list[bytes] = []

    def __missing__(self, key: bytes) -> int:
        plain = _as_v4(key)
        if plain != key:
            number = self[plain]
        else:
            number = len(self.keys_in_order)
            self.keys_in_order.append(key)
        self[key] = number
        return number

    def sources(self) -> list[bytes]:
        """Return the source address and device of each group, by its number."""
        return [sock_diag.pool(*_source(key)) for key in self.keys_in_order]


def _keys(block: bytes, stride: int) -> list[bytes]:
    """Return the bytes of every socket that name its group, as they lie in the message, and the device that it is
    bound to, if it is bound to one."""
    keys, devices = _address_keys(block, stride), sock_diag.devices(block, stride)
    return list(map(sock_diag.pool, keys, devices)) if any(devices) else keys


def _address_keys(block: bytes, stride: int) -> list[bytes]:
    families = block[sock_diag.FAMILY :: stride]
    sizes = {size for family, size in _KEY_SIZE.items() if family in families}
    starts = range(sock_diag.DPORT, len(block), stride)
    if len(sizes) == 1 and families.count(families[0]) == len(families):
        size = sizes.pop()
        return [block[at : at + size] for at in starts]
    try:
        ends = map(_KEY_SIZE.__getitem__, families)
        return [block[at : at + size] for at, size in zip(starts, ends, strict=True)]
    except KeyError as family:
        raise ReadError(sock_diag.READER, f"the kernel sent a TCP socket of family {family}") from None


def _as_v4(key: bytes) -> bytes:
    """Return the key of the same group of AF_INET; the key itself if there is no such group."""
    source, destination = sock_diag.unmapped(key[2:18]), sock_diag.unmapped(key[18:34])
    if len(key) >= _KEY_SIZE[socket.AF_INET6] and len(source) == len(destination) == 4:
        return key[:2] + source + bytes(12) + destination + key[34:]
    return key
