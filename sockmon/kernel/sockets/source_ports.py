"""Which ports each source address uses, and how many destinations a port serves."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

from sockmon.kernel.netlink import Incremental

MIN_PORTS = 20
"""A source with fewer ports is not judged: their parity proves nothing."""

Chunk = tuple["array[int]", "array[int]", "array[int]"]
"""Group number, port and inode of each socket."""


class Scanned(NamedTuple):
    """The sockets in the range."""

    chunks: Sequence[Chunk]
    used: Mapping[int, int]
    """Sockets by group."""
    time_wait: Mapping[int, int]
    source_of: Sequence[bytes]
    """The address and the device of each group: sock_diag.pool()."""


@dataclass(eq=False)
class SourcePorts:
    """What is known of one source address."""

    address: bytes
    """With the device, if its sockets are bound to one: sock_diag.pool()."""
    groups: list[int] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)
    """Sockets of each of `groups`."""
    first_group: array[int] = field(default_factory=lambda: array("I", bytes(4 * 65536)))
    """For each port the first group that was found on it, plus one."""
    marks: bytearray = field(default_factory=lambda: bytearray(65536))
    """For each port 1 if it serves one destination, 2 if it serves several."""
    inodes: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def used(self) -> int:
        """Return how many different ports it has."""
        return 65536 - self.marks.count(0)

    def ports(self) -> set[int]:
        """Return its ports."""
        return set(compress(range(65536), self.marks))

    def expected_shared(self, ports: int) -> float:
        """Return how many ports would be shared if each destination had got its ports at random."""
        total = sum(self.sockets)
        return (total * total - sum(count * count for count in self.sockets)) / (2 * max(ports, 1))


def mark_ports(chunks: Iterable[Chunk], sources: Iterable[SourcePorts]) -> Incremental[None]:
    """Mark every port of the sources: does it serve one destination or several?"""
    by_group = {
        number: (source.first_group, source.marks, source.inodes.append)
        for source in sources
        for number in source.groups
    }
    if not by_group:
        return
    for chunk in chunks:
        for number, port, inode in zip(*chunk, strict=True):
            if number in by_group:
                first_group, port_marks, keep = by_group[number]
                group = first_group[port]
                if not group:
                    first_group[port] = number + 1
                    port_marks[port] = 1
                elif group != number + 1:
                    port_marks[port] = 2
                keep(inode)
        yield


def small_sources(scanned: Scanned, judged: Container[bytes], usable: int) -> SourcePorts:
    """Return the sources that are not `judged` one by one, all together: a proxy may use one for each client. A
    source with more sockets than there are ports has not bound them."""
    totals: Counter[bytes] = Counter()
    for number, count in scanned.used.items():
        totals[scanned.source_of[number]] += count
    groups = [
        number
        for number in scanned.used
        if (source := scanned.source_of[number]) not in judged and totals[source] <= usable
    ]
    sockets = [scanned.used[number] for number in groups]
    return SourcePorts(b"", groups, sockets) if sum(sockets) >= MIN_PORTS else SourcePorts(b"")


def bound_in_pool(pool: SourcePorts, free: bytes | bytearray, low: int, taken: frozenset[int]) -> int:
    """Return how many ports of the small sources seem to be bound, without those of `taken`; 0 if they are few.

    Towards each destination connect() takes a port of the other parity than the range's first only when none of
    the first parity is left. bind(0) takes those first, and a bind() to a number takes both alike: so there are at
    most twice as many bound ports as there are ports of the second parity."""
    if not pool.groups:
        return 0
    evens = free[low::2].count(1) - sum(free[port] for port in taken if (port - low) % 2 == 0)
    by_connect = sum(max(0, sockets - evens) for sockets in pool.sockets)
    ports = pool.ports() - taken
    odd = sum((port - low) % 2 for port in ports) - by_connect
    return min(len(ports), 2 * odd) if odd >= MIN_PORTS / 2 else 0


def exclusive_ports(scanned: Scanned, waiting: Mapping[bytes, set[int]]) -> Incremental[Counter[bytes]]:
    """Return for each source how many ports it uses that no other source uses."""
    user: dict[int, bytes | None] = {}
    for address, idle_ports in waiting.items():
        for port in idle_ports:
            user[port] = address if user.get(port, address) == address else None
    for numbers, ports, _ in scanned.chunks:
        for number, port in zip(numbers, ports, strict=True):
            address = scanned.source_of[number]
            if user.setdefault(port, address) != address:
                user[port] = None
        yield
    return Counter(address for address in user.values() if address is not None)
