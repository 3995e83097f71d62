"""How many sockets each process has, and in which state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import Process, Processes


class Namespaces(NamedTuple):
    """The network namespaces whose sockets in CLOSE_WAIT are known."""

    inode_of: Mapping[int, int]
    """Process → the inode of its namespace; not the same object if it changes."""
    read: frozenset[int | None]
    """Inodes of those that were read."""


class Attribution:
    """Adds to processes what `owners` knows of their sockets, and keeps it until something of that is newer."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._known: dict[int, tuple[Process, bool, Process]] = {}
        self._at: float | None = None
        self._close_wait: Collection[int] | None = None
        self._queues: Mapping[int, tuple[int, int]] | None = None
        self._waiting: dict[int, int] | None = None
        self._sums: dict[int, tuple[int, ...]] = {}
        self._last: tuple[object, Processes] | None = None

    def attribute(
        self,
        processes: Processes,
        close_wait: Collection[int] | None = None,
        queues: Mapping[int, tuple[int, int]] | None = None,
        namespaces: Namespaces | None = None,
    ) -> Processes:
        """Return `processes` with their sockets; if these are known, also with those of the inodes `close_wait`,
        of the processes in `namespaces` (by default of all), and with the sums of `queues` (receive and send queue
        of each TCP socket with data)."""
        owners = self._owners
        inode_of, read = namespaces or ({}, frozenset())
        stamp = (processes.at, owners.at, owners.known, id(close_wait), id(queues), id(inode_of), read)
        if self._last is not None and self._last[0] == stamp:
            return self._last[1]
        if owners.at != self._at or close_wait is not self._close_wait or queues is not self._queues:
            self._at, self._close_wait, self._queues, self._known = owners.at, close_wait, queues, {}
            counted = None if close_wait is None else owners.count(close_wait)
            self._waiting = None if counted is None else {owner.pid: owner.sockets for owner in counted}
            self._sums = {owner.pid: sums for owner, sums in owners.add_up(queues or {})}
        known = self._known
        for row in processes.rows:
            is_read = namespaces is None or inode_of.get(row.pid) in read
            before = known.get(row.pid)
            if before is None or before[0] is not row or before[1] is not is_read:
                known[row.pid] = (row, is_read, self._with_sockets(row, is_read))
        rows = tuple(known[row.pid][2] for row in processes.rows)
        # How many descriptors the processes have that /proc hides is not known.
        part = None if processes.hidden else owners.known
        attributed = replace(processes, rows=rows, unseen=owners.unseen, owners_at=owners.at, owners_known=part)
        self._last = (stamp, attributed)
        return attributed

    def _with_sockets(self, row: Process, is_read: bool) -> Process:
        sockets = self._owners.sockets(row.pid, row.start)
        if sockets is None:
            return row
        waiting = self._waiting.get(row.pid, 0) if self._waiting is not None and (is_read or not sockets) else None
        received, sent = self._sums.get(row.pid, (None, None))
        return replace(
            row,
            sockets=sockets,
            close_wait=waiting,
            recv_queue=received,
            send_queue=sent,
            sampled=self._owners.is_sampled(row.pid),
            kinds=self._owners.kinds(row.pid, row.start),
        )
