"""Sockets that bind() gave a port: those that neither listen nor connect yet, and those that chose its number."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from sockmon.kernel.identity import kernel_version
from sockmon.kernel.netlink import Incremental, attributes
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.diag_filter import numbered_filter
from sockmon.kernel.sockets.port_ranges import free_table
from sockmon.kernel.sockets.sock_diag import Diag, TextDiag

KNOWS_BOUND_INACTIVE = (6, 8)
_V6ONLY = 11  # INET_DIAG_SKV6ONLY


class BoundPorts(NamedTuple):
    """Ports that sockets are bound to."""

    ports: Mapping[bytes, set[int]]
    """Ports by sock_diag.pool(): by address, which is IPv4 for v4-mapped ones, and device."""
    inodes: Mapping[bytes, array[int]]
    outside_range: frozenset[int] = frozenset()
    """Ports outside of the range, on any address."""
    v6only: frozenset[int] = frozenset()
    """Ports that idle sockets of `::` have for IPv6 only (IPV6_V6ONLY)."""

    def all_ports(self) -> set[int]:
        """Return the ports of every address."""
        return set().union(*self.ports.values())


def read_bound_idle(diag: Diag, low: int, high: int) -> Incremental[BoundPorts | None]:
    """Return the addresses whose sockets are bound to ports of low..high and neither connected nor listening, and
    the ports outside that are bound in the same way; raise ReadError.

    None for text, which does not show them, and before Linux 6.8: older kernels do not know the state
    BOUND_INACTIVE and return nothing, which must not be taken for "no such sockets". The only other test would be
    to bind a port, so the release decides."""
    if isinstance(diag, TextDiag) or kernel_version() < KNOWS_BOUND_INACTIVE:
        return None
    found = _Collector(free_table(low, high))
    yield from sock_diag.tcp(diag, sock_diag.BOUND_INACTIVE, found.absorb)
    return found.result()


def read_numbered(diag: Diag, states: int, ports: bytes, free: bytearray) -> Incremental[BoundPorts | None]:
    """Return the connections whose port was given to bind() as a number, on the ports that are 1 in `free`; raise
    ReadError. None for text, which does not show it.

    `ports` is a filter by local port. It is not known of a socket in TIME_WAIT; what a listener has accepted does
    not count."""
    if isinstance(diag, TextDiag):
        return None
    found = _Collector(free)
    yield from sock_diag.tcp(diag, states, found.absorb, numbered_filter(ports))
    return found.result()


class _Collector:
    def __init__(self, free: bytearray) -> None:
        self._free = free
        self._ports: defaultdict[bytes, set[int]] = defaultdict(set)
        self._inodes: defaultdict[bytes, array[int]] = defaultdict(lambda: array("Q"))
        self._outside: set[int] = set()
        self._v6only: set[int] = set()

    def absorb(self, block: bytes, stride: int) -> None:
        rows = zip(
            range(0, len(block), stride),
            sock_diag.local_ports(block, stride),
            sock_diag.inodes(block, stride),
            sock_diag.devices(block, stride),
            strict=True,
        )
        for at, port, inode, device in rows:
            if not self._free[port]:
                self._outside.add(port)
                continue
            address = sock_diag.unmapped(sock_diag.addresses(block, at)[0])
            if len(address) == 16 and not any(address):
                found = attributes(block[at : at + stride], sock_diag.MESSAGE, sock_diag.READER)
                if found.get(_V6ONLY, b"\0")[0]:
                    self._v6only.add(port)
            source = sock_diag.pool(address, device)
            self._ports[source].add(port)
            if inode and len(self._inodes[source]) < sock_diag.MAX_INODES:
                self._inodes[source].append(inode)

    def result(self) -> BoundPorts:
        return BoundPorts(self._ports, self._inodes, frozenset(self._outside), frozenset(self._v6only))
