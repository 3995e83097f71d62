"""How many sockets each process has, and in which state."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import Process, Processes


class Attribution:
    """Adds to processes what `owners` knows of their sockets, and keeps it until something of that is newer."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._known: dict[int, tuple[Process, Process]] = {}
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
    ) -> Processes:
        """Return `processes` with their sockets; also with those of the inodes `close_wait`, and with the sums of
        `queues` (receive and send queue of each TCP socket with data), if these are known."""
        owners = self._owners
        stamp = (processes.at, owners.at, owners.known, id(close_wait), id(queues))
        if self._last is not None and self._last[0] == stamp:
            return self._last[1]
        if owners.at != self._at or close_wait is not self._close_wait or queues is not self._queues:
            self._at, self._close_wait, self._queues, self._known = owners.at, close_wait, queues, {}
            counted = None if close_wait is None else owners.count(close_wait)
            self._waiting = None if counted is None else {owner.pid: owner.sockets for owner in counted}
            self._sums = {owner.pid: sums for owner, sums in owners.add_up(queues or {})}
        known = self._known
        for row in processes.rows:
            if row.pid not in known or known[row.pid][0] is not row:
                known[row.pid] = (row, self._with_sockets(row))
        rows = tuple(known[row.pid][1] for row in processes.rows)
        # How many descriptors the processes have that /proc hides is not known.
        part = None if processes.hidden else owners.known
        attributed = replace(processes, rows=rows, unseen=owners.unseen, owners_at=owners.at, owners_known=part)
        self._last = (stamp, attributed)
        return attributed

    def _with_sockets(self, row: Process) -> Process:
        sockets = self._owners.sockets(row.pid, row.start)
        if sockets is None:
            return row
        waiting = None if self._waiting is None else self._waiting.get(row.pid, 0)
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
