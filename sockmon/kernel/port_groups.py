"""Ephemeral ports by (source, destination, destination port): what EADDRNOTAVAIL is decided by."""

from __future__ import annotations

import re
import socket
from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import compress
from typing import NamedTuple

from sockmon.errors import Unreadable
from sockmon.kernel import sock_diag
from sockmon.kernel.bound_sources import Bound, Idle, bound_sources
from sockmon.kernel.bytecode import local_port_in
from sockmon.kernel.netlink import Steps
from sockmon.kernel.port_ranges import Ranges, free_table
from sockmon.kernel.sock_diag import LISTEN, SYN_RECV, TIME_WAIT
from sockmon.model.snapshot import PortGroup

INODES = 65_536
"""Inodes that are kept of one group at most."""
INTERVALS = 256
"""Intervals of ports that the kernel is asked to compare; a finer filter is finished here."""

# Messages of these are shorter: dumped apart, so that the datagrams of both dumps stay uniform.
_SHORT = 1 << TIME_WAIT | 1 << SYN_RECV
_LONG = sock_diag.EVERY_STATE & ~_SHORT & ~(1 << LISTEN)
# idiag_dport, idiag_src and idiag_dst are neighbours: one slice names the group.
_KEY_SIZE = {int(socket.AF_INET): 2 + 16 + 4, int(socket.AF_INET6): 2 + 16 + 16}


class Grouped(NamedTuple):
    """The largest groups, and what is known of the others."""

    groups: tuple[PortGroup, ...]
    """Largest first, owners not yet known."""
    inodes: tuple[array[int], ...]
    """Of each of `groups` the sockets that a process holds, at most INODES."""
    groups_total: int
    other_used: int
    """Sockets of the groups that are not in `groups`."""
    bound: Bound = Bound()
    """The source addresses that bind before they connect."""


def port_groups(
    diag: socket.socket,
    low: int,
    high: int,
    reserved: Ranges,
    listening: Iterable[int],
    time_wait: bool,
    top: int = 20,
    idle: Idle | None = None,
    known: frozenset[bytes] = frozenset(),
) -> Steps[Grouped]:
    """Group the sockets on usable ports of low..high, in every state but LISTEN; raises Unreadable.

    The kernel filters by port, so that what passes is what costs. `time_wait`: whether to count TIME_WAIT
    (and SYN_RECV) too, in a second dump; leave it out while sockstat says that there are none. `idle`: the sockets
    that are bound only, which count for the sources that bind; `known`: those sources as of the walk before."""
    free = free_table(low, high, reserved, listening)
    intervals = [(found.start(), found.end() - 1) for found in re.finditer(b"\1+", free)]
    exact = len(intervals) <= INTERVALS
    if not exact:
        intervals[INTERVALS - 1 :] = [(intervals[INTERVALS - 1][0], intervals[-1][1])]
    columns = _Columns(None if exact else free)
    if intervals:
        bytecode = local_port_in(intervals)
        yield from sock_diag.tcp(diag, _LONG, columns.absorb, bytecode)
        if time_wait:
            yield from sock_diag.tcp(diag, _SHORT, columns.absorb, bytecode)
    bound = yield from bound_sources(
        columns.chunks, columns.used, columns.time_wait, columns.numbers.sources(), free, low, idle, known
    )
    return (yield from columns.grouped(top, bound))


class _Columns:
    """Group, port and inode of every socket as columns: no object a socket outlives its datagram."""

    def __init__(self, free: bytearray | None) -> None:
        self.free = free
        """Which ports count; None: the kernel has seen to it."""
        self.numbers = _Numbers()
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

    def grouped(self, top: int, bound: Bound) -> Steps[Grouped]:
        """Look at the largest groups once more: a socket that both dumps saw takes one port, not two."""
        largest = [number for number, _ in self.used.most_common(top)]
        ports: dict[int, set[int]] = {number: set() for number in largest}
        inodes: dict[int, array[int]] = {number: array("Q") for number in largest}
        keep = {number: (ports[number].add, inodes[number].append) for number in largest}
        for chunk in self.chunks:
            for number, port, inode in zip(*chunk, strict=True):
                if number in keep:
                    add_port, add_inode = keep[number]
                    add_port(port)
                    add_inode(inode)
            yield
        largest.sort(key=lambda number: -len(ports[number]))
        return Grouped(
            tuple(self._group(number, ports[number], bound) for number in largest),
            tuple(array("Q", filter(None, inodes[number]))[:INODES] for number in largest),
            len(self.used),
            self.used.total() - sum(self.used[number] for number in largest),
            bound,
        )

    def _group(self, number: int, ports: set[int], bound: Bound) -> PortGroup:
        key = self.numbers.keys_in_order[number]
        source, used = _source(key), len(ports)
        return PortGroup(
            sock_diag.text(source),
            sock_diag.text(key[18:]),
            int.from_bytes(key[:2], "big"),
            used,
            min(used, self.time_wait[number]),
            (),
            len(bound.ports - ports) if source not in bound.addresses else 0,
        )


def _source(key: bytes) -> bytes:
    return key[2:6] if len(key) == _KEY_SIZE[socket.AF_INET] else key[2:18]


class _Numbers(dict[bytes, int]):
    """Numbers the groups as they appear; a v4-mapped one gets the number of its IPv4 twin."""

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
        """The source address of each group, by its number."""
        return list(map(_source, self.keys_in_order))


def _keys(block: bytes, stride: int) -> list[bytes]:
    """Of every socket the bytes that name its group, as they lie in the message."""
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
        raise Unreadable(sock_diag.READER, f"the kernel sent a TCP socket of family {family}") from None


def _as_v4(key: bytes) -> bytes:
    """The key of the same group as an AF_INET socket names it, where there is one."""
    source, destination = sock_diag.unmapped(key[2:18]), sock_diag.unmapped(key[18:])
    if len(source) == len(destination) == 4:
        return key[:2] + source + bytes(12) + destination
    return key
