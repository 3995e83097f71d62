"""UDP ports of one network namespace, and the buffers of its UDP sockets: scanned within a budget, with owners."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.tcp_queue_sampler import udp_readers
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets import port_ranges
from sockmon.kernel.sockets.udp_buffers import UdpBufferRow
from sockmon.kernel.sockets.udp_ports import UdpPortUse, udp_ports
from sockmon.model.snapshot import UdpBuffer, UdpPorts
from sockmon.port_lists import count_in

BUDGET = Budget(0.002, 0.9)
MAX_OWNERS = 20
"""Owners of UDP ports that are listed: a thousand processes may have one port each."""


class _Scan(NamedTuple):
    """The UDP sockets, and the port range that they were counted in."""

    low: int
    high: int
    reserved: int
    use: UdpPortUse


class UdpSampler:
    """Scans the UDP sockets of the namespace `handle`."""

    def __init__(self, handle: NetnsHandle, owners: Owners) -> None:
        self._handle = handle
        self._owners = owners
        self.task = BudgetedTask("udp ports", self._scan, BUDGET)
        self._owned: tuple[object, UdpPorts] | None = None
        self.unowned: set[int] = set()
        """Inodes of the sockets with a buffer in use and without a known owner, as of the last sample."""

    def _scan(self) -> Incremental[_Scan]:
        low, high, reserved = port_ranges.read(self._handle)
        use = yield from udp_ports(self._handle.scan_socket, low, high, reserved)
        return _Scan(low, high, count_in(reserved, low, high), use)

    def sample(self) -> UdpPorts | None:
        """Return the last scan with owners, which are counted again if the scan or the owners are newer."""
        found, at = self.task.value, self.task.at
        if found is None or at is None:
            return None
        stamp = (at, self._owners.at)
        if self._owned is None or self._owned[0] != stamp:
            owners = tuple(self._owners.count(found.use.inodes)[:MAX_OWNERS])
            use = found.use
            buffers = None if use.buffers is None else tuple(map(self._with_owner, use.buffers))
            owned = UdpPorts(at, found.low, found.high, found.reserved, use.used, use.usable, owners, buffers)
            queued = None if use.buffers is None else sum(use.queued.values())
            readers = udp_readers(self._owners, use.queued)
            owned = replace(owned, queued=queued, readers=readers, used_ipv4=use.used_ipv4)
            self._owned = (stamp, owned)
        self.unowned = {row.inode for row in self._owned[1].buffers or () if row.owner is None and row.inode}
        return self._owned[1]

    def _with_owner(self, row: UdpBufferRow) -> UdpBuffer:
        return UdpBuffer(*row, self._owners.owner_of(row.inode) if row.inode else None)
