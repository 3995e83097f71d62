"""The data that waits in the TCP sockets of one network namespace, and which processes it belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.kernel import sockstat
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.tcp_queues import QueuedRow, TcpQueueScan, tcp_queues
from sockmon.model.queues import MIN_PAGES, QueueOwner, TcpQueues

BUDGET = Budget(0.001, 0.9)
MAX_OWNERS = 10
"""Processes that a Snapshot lists."""


class TcpQueueSampler:
    """Reads the queues of the namespace `handle`, unless TCP uses hardly any memory on the whole host."""

    def __init__(self, handle: NetnsHandle, owners: Owners) -> None:
        self.task = BudgetedTask("tcp queues", self._scan, BUDGET)
        self._handle = handle
        self._owners = owners
        self._owned: tuple[object, TcpQueues] | None = None
        self._queues: Mapping[int, tuple[int, int]] = {}

    def sample(self) -> TcpQueues | None:
        """Return the last scan with owners, which are read again if the scan or the owners are newer; None if
        there was none, or too little memory to look for."""
        found, at = self.task.value, self.task.at
        if found is None or at is None:
            return None
        stamp = (at, self._owners.at)
        if self._owned is None or self._owned[0] != stamp:
            self._owned = (stamp, self._with_owners(at, found))
        return self._owned[1]

    def by_inode(self) -> Mapping[int, tuple[int, int]] | None:
        """Return receive and send queue of the sockets with the most data; None if they were not read."""
        return None if self.task.value is None else self._queues

    def _scan(self) -> Incremental[TcpQueueScan | None]:
        if sockstat.read(self._handle)[1].tcp_pages < MIN_PAGES:
            return None
        found = yield from tcp_queues(self._handle.scan_socket)
        self._queues = {row.inode: (row.recv_queue, row.send_queue) for row in found.rows if row.inode}
        return found

    def _with_owners(self, at: float, found: TcpQueueScan) -> TcpQueues:
        held = {row.inode: _amounts(row) for row in found.rows if row.inode}
        owned = self._owners.add_up(held)
        owners = [
            QueueOwner(owner, received, sent, None if found.memory is None else memory)
            for owner, (memory, received, sent) in owned
        ]
        known = self._owners.owners_of({inode for inode in found.inodes + found.peers if inode})
        listed = zip(found.listed, found.inodes, found.peers, strict=True)
        return TcpQueues(
            at=at,
            recv_queue=found.recv_queue,
            send_queue=found.send_queue,
            memory=found.memory,
            sockets=found.sockets,
            owners=tuple(owners[:MAX_OWNERS]),
            orphaned=sum(row.memory for row in found.rows if not row.inode),
            unowned=max(0, sum(each[0] for each in held.values()) - sum(sums[0] for _, sums in owned)),
            largest=tuple(
                replace(item, owner=known.get(inode), peer=known.get(peer)) for item, inode, peer in listed
            ),
        )


def _amounts(row: QueuedRow) -> tuple[int, int, int]:
    return row.memory, row.recv_queue, row.send_queue


def udp_readers(owners: Owners, queued: Mapping[int, int]) -> tuple[QueueOwner, ...]:
    """Return the processes with the most bytes in the receive buffers of their UDP sockets; `queued` by inode."""
    owned = owners.add_up({inode: (count,) for inode, count in queued.items() if inode})
    return tuple(QueueOwner(owner, count, 0, count) for owner, (count,) in owned[:MAX_OWNERS])
