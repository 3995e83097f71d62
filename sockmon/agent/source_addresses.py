"""Which other source addresses a destination could be reached from, read once half of its ports are in use."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.kernel.addresses import LocalAddress, has_route, read_addresses, read_device_names
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.model.nat_rules import NAT_PORTS
from sockmon.model.snapshot import Ports, SnatGroup
from sockmon.model.source_addresses import SourceAddresses, SourcesTowards

BUDGET = Budget(0.0005, 5.0)
MAX_DESTINATIONS = 5
MAX_LISTED = 5
MAX_ASKED = 256
"""Addresses for which a route is asked, for each destination: 20 µs each."""
_HOST_SCOPE, _LINK_SCOPE = 254, 253


class Wanted(NamedTuple):
    """A destination that needs more ports."""

    source: str
    destination: str
    device: str = ""


class SourceAddressReader:
    """Reads for the destinations of one namespace that use half of their ports."""

    def __init__(
        self,
        handle: NetnsHandle,
        ports: Callable[[], Ports | None],
        groups: Callable[[], Sequence[SnatGroup]],
    ) -> None:
        self._handle = handle
        self._ports = ports
        self._groups = groups
        self.task = BudgetedTask("source addresses", self._read, BUDGET)

    def sample(self) -> SourceAddresses | None:
        """Return what was read last; None if no destination needed it."""
        found, at = self.task.value, self.task.at
        return SourceAddresses(at, found) if found and at is not None else None

    def _wanted(self) -> Iterator[Wanted]:
        ports = self._ports()
        if ports is not None:
            for group in ports.groups[:MAX_DESTINATIONS]:
                if 2 * group.used >= ports.usable > 0:
                    yield Wanted(group.source, group.destination, group.device)
            for source in ports.sources[:MAX_DESTINATIONS]:
                if 2 * source.used >= ports.usable > 0:
                    yield Wanted(source.source, "", source.device)
        for nat in self._groups()[:MAX_DESTINATIONS]:
            if 2 * nat.used >= (nat.range.size if nat.range else NAT_PORTS):
                yield Wanted(nat.address, nat.destination)

    def _read(self) -> Incremental[tuple[SourcesTowards, ...]]:
        wanted = list(dict.fromkeys(self._wanted()))
        if not wanted:
            return ()
        route = self._handle.route
        local = yield from read_addresses(route)
        indexes: dict[str, int] = {}
        if any(each.device for each in wanted):
            names = yield from read_device_names(route)
            indexes = {name: index for index, name in names.items()}
        found: tuple[SourcesTowards, ...] = ()
        for each in wanted:
            found += ((yield from self._towards(each, local, indexes.get(each.device, 0))),)
        return found

    def _towards(self, wanted: Wanted, local: Sequence[LocalAddress], device: int) -> Incremental[SourcesTowards]:
        """Ask the kernel for a route from each address that fits."""
        source = _packed(wanted.source)
        destination = _packed(wanted.destination) if wanted.destination else b""
        rows = [row.address for row in local if _fits(row, source, wanted.destination)]
        candidates = list(dict.fromkeys((*rows, *_loopback(source, destination))))
        usable = []
        for address in candidates[:MAX_ASKED]:
            if not destination or has_route(self._handle.route, address, destination, device):
                usable.append(_text(address))
            yield
        return SourcesTowards(
            wanted.source,
            wanted.destination,
            wanted.device,
            tuple(usable[:MAX_LISTED]),
            len(usable),
            len(candidates) <= MAX_ASKED,
        )


def _fits(row: LocalAddress, source: bytes, destination: str) -> bool:
    """Return whether an address is another one of the same family, usable, and of a scope that gets that far."""
    if len(row.address) != len(source) or row.address == source or not row.usable:
        return False
    near = ipaddress.ip_address(destination) if destination else None
    if row.scope >= _HOST_SCOPE:
        return near is not None and near.is_loopback
    return row.scope < _LINK_SCOPE or (near is not None and near.is_link_local)


def _loopback(source: bytes, destination: bytes) -> list[bytes]:
    """Return addresses of 127.0.0.0/8 for a destination in it: all of them are local, and few are listed."""
    if len(destination) != 4 or destination[0] != 127:
        return []
    return [each for last in range(1, MAX_LISTED + 2) if (each := bytes((127, 0, 0, last))) != source][:MAX_LISTED]


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
