"""Ephemeral TCP ports of one network namespace: scanned within a budget, with the processes that own them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.unchanged import UnlessUnchanged
from sockmon.errors import ReadError
from sockmon.kernel import sockstat
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets import port_ranges
from sockmon.kernel.sockets.bound_sockets import read_bound_idle
from sockmon.kernel.sockets.listeners import listeners
from sockmon.kernel.sockets.port_groups import PortGroups, port_groups
from sockmon.kernel.sockets.port_probe import DISABLED
from sockmon.kernel.sockets.port_ranges import usable
from sockmon.kernel.sockets.tcp_states import time_wait_families
from sockmon.kernel.tcp_activity import read_opened
from sockmon.model.snapshot import BoundSource, Missing, Ports
from sockmon.port_lists import count_in, last_tried

BUDGET = Budget(0.003, 0.9)
QUIET_SECONDS = 30.0
"""Age from which on it is scanned again although no socket was opened or closed: one may have been bound."""
MAX_OWNED_GROUPS = 5
"""Groups of which the owners are looked up for a Snapshot; those of a smaller group are part of its details."""

_UNANSWERED = (
    "nearly all ports are in use, and the kernel could not be asked whether one is left: that needs the 1 in"
    f" net.ipv4.tcp_fastopen, `lo` up, and no {DISABLED}"
)


class _Scan(NamedTuple):
    ports: Ports
    grouped: PortGroups
    time_wait: tuple[int, int]
    """Sockets in TIME_WAIT of IPv4 and of IPv6."""


class PortSampler:
    """Scans the ephemeral range of the namespace `handle`."""

    def __init__(self, handle: NetnsHandle, owners: Owners) -> None:
        scan = UnlessUnchanged(lambda: read_opened(handle), self._scan, QUIET_SECONDS)
        self.task = BudgetedTask("ports", scan.steps, BUDGET)
        self._handle = handle
        self._owners = owners
        self._owned: Ports | None = None
        self._owned_stamp: tuple[object, object] = (None, None)
        """The scan of `_owned`, and when the owners were read."""

    @property
    def time_wait_families(self) -> tuple[int, int] | None:
        """Return the sockets in TIME_WAIT of IPv4 and of IPv6 as of the last scan."""
        return self.task.value.time_wait if self.task.value else None

    @property
    def scanned(self) -> Ports | None:
        """Return the ports as of the last scan, without owners; None before the first one."""
        found = self.task.value
        return replace(found.ports, sources=found.grouped.bound.sources) if found else None

    def sample(self, missing: list[Missing]) -> Ports | None:
        """Return the ports as of the last scan, with owners; what this kernel does not show is in `missing`."""
        found = self.task.value
        if found is None or self.task.at is None:
            return None
        if found.ports.bound is None:
            missing.append(Missing("ports", "this kernel does not show bound, unconnected sockets"))
        if found.grouped.unanswered:
            missing.append(Missing("ports", _UNANSWERED))
        stamp = (found, self._owners.at)
        if stamp[0] is not self._owned_stamp[0] or stamp[1] != self._owned_stamp[1]:
            self._owned_stamp = stamp
            owners = self._owners.count_groups(found.grouped.inodes[:MAX_OWNED_GROUPS])
            groups = found.grouped.groups
            owned = [replace(group, owners=tuple(own)) for group, own in zip(groups, owners, strict=False)]
            self._owned = replace(
                found.ports,
                groups=(*owned, *groups[MAX_OWNED_GROUPS:]),
                sources=self._bound_sources(found.grouped),
                lost_owners=tuple(self._owners.count(found.grouped.bound.small_inodes)[:MAX_OWNED_GROUPS]),
            )
        if self._owned is not None and self._owned.at != self.task.at:
            self._owned = replace(self._owned, at=self.task.at)
        return self._owned

    def _bound_sources(self, grouped: PortGroups) -> tuple[BoundSource, ...]:
        if not grouped.bound.sources:
            return ()
        owners = self._owners.count_groups(grouped.bound.inodes)
        return tuple(
            replace(source, owners=tuple(own)) for source, own in zip(grouped.bound.sources, owners, strict=True)
        )

    def _scan(self) -> Incremental[_Scan]:
        """Read the listeners, the bound sockets and the groups of connections inside the range."""
        handle = self._handle
        low, high, reserved = port_ranges.read(handle)
        last = last_tried(low, high)
        found = yield from listeners(handle.scan_socket)
        listening = tuple(sorted({item.port for item in found if low <= item.port <= high}))
        reserved_ranges = [(first, last) for first, last in reserved if last >= low and first <= high]
        idle = yield from read_bound_idle(handle.scan_socket, low, last)
        waiting = _may_have_time_wait(handle)
        known = self.task.value.grouped.bound.addresses if self.task.value else frozenset()
        grouped = yield from port_groups(
            handle.scan_socket,
            low,
            last,
            reserved,
            listening,
            waiting,
            idle=idle,
            known_sources=known,
            finds_port=handle.probes.finds_port,
        )
        families = (yield from time_wait_families(handle.scan_socket)) if waiting else (0, 0)
        bound = None if idle is None else _outside(reserved_ranges, idle.all_ports() - set(listening))
        ports = Ports(
            at=0.0,
            low=low,
            high=high,
            reserved=count_in(reserved, low, high),
            listening=_outside(reserved_ranges, listening),
            bound=bound,
            usable=usable(low, high, reserved, listening, bound or ()),
            groups=grouped.groups,
            groups_total=grouped.groups_total,
            other_used=grouped.other_used,
            lost=grouped.bound.lost,
            lost_sources=grouped.bound.small_sources,
            lost_numbered=grouped.bound.numbered,
            exhausted=grouped.bound.exhausted,
            bound_outside=() if idle is None else tuple(sorted(idle.outside_range)),
        )
        return _Scan(ports, grouped, families)


def _outside(ranges: list[tuple[int, int]], ports: Iterable[int]) -> tuple[int, ...]:
    """Return those of `ports` that are in none of the reserved `ranges`, where they are counted already."""
    return tuple(sorted(port for port in ports if not any(low <= port <= high for low, high in ranges)))


def _may_have_time_wait(handle: NetnsHandle) -> bool:
    """Return whether there may be sockets in TIME_WAIT; their dump is a second one, skipped if there are none."""
    try:
        return sockstat.read(handle)[0].time_wait > 0
    except ReadError:
        return True
