"""The queues of unix datagram sockets in one namespace: the dump, whether the kernel has room, and who waits."""

from __future__ import annotations

import os
from collections.abc import Collection

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.errors import ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.blocked_senders import find_blocked, read_activity
from sockmon.kernel.processes.proc_files import PROC, open_proc
from sockmon.kernel.processes.read_timeout import TimeoutReader
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets import datagrams
from sockmon.kernel.sockets.datagrams import QueueScan, Receiver
from sockmon.model.snapshot import DatagramQueue, Owner

BUDGET = Budget(0.001, 1.0)
MAX_ASKED = 32
"""Queues of one scan of which the kernel is asked whether they have room."""
MAX_NAMED = 5
"""Blocked processes that a Snapshot names for each queue."""


class DatagramSampler:
    """Reads the queues of the namespace of `handle` within a budget."""

    def __init__(self, handle: NetnsHandle, owners: Owners) -> None:
        self._handle = handle
        self._owners = owners
        self._sizer = datagrams.MessageSizer(handle.keeps_files)
        self._files = TimeoutReader()
        self.task = BudgetedTask("datagrams", self._scan, BUDGET)
        self.unowned: set[int] = set()
        """Receivers without a known owner, as of the last sample."""

    def close(self) -> None:
        """Release what is open, except for the handle."""
        self._sizer.close()
        self._files.close()

    def sample(self) -> tuple[DatagramQueue, ...] | None:
        """Return the queues of the last scan with their owners; None before the first."""
        if self.task.value is None:
            return None
        owned = tuple(
            replace(item, owner=self._owners.owner_of(item.inode), at=self.task.at or 0.0)
            for item in self.task.value
        )
        self.unowned = {item.inode for item in owned if item.owner is None}
        return owned

    def _scan(self) -> Incremental[tuple[DatagramQueue, ...]]:
        scan = yield from datagrams.read_queues(self._handle.scan_socket, self._sizer)
        if not scan.receivers:
            return ()
        proc = open_proc()
        try:
            asked = []
            for number, receiver in enumerate(scan.receivers):
                yield
                asked.append(self._with_reader(receiver, proc, ask=number < MAX_ASKED))
            return (yield from self._with_blocked(scan, asked, proc))
        finally:
            os.close(proc)

    def _with_reader(self, receiver: Receiver, proc: int, ask: bool) -> DatagramQueue:
        owner = self._owners.owner_of(receiver.queue.inode)
        room = self._has_room(receiver, owner) if ask else None
        state, wchan = read_activity(owner, proc) if owner else ("", "")
        full = None if room is None else not room
        return replace(receiver.queue, full=full, reader_state=state, reader_wchan=wchan)

    def _has_room(self, receiver: Receiver, owner: Owner | None) -> bool | None:
        """Ask by the abstract name, or by the file as the owner sees it: it may be in a container."""
        if receiver.name.startswith(b"\0"):
            return self._handle.probes.has_room(receiver.name)
        if not receiver.name.startswith(b"/") or not receiver.file:
            return None
        path = receiver.name.partition(b"\0")[0]
        roots = [b"%d/root" % owner.pid, b"self/root"] if owner else [b"self/root"]
        for root in roots:
            room = self._has_room_at(os.fsencode(PROC) + b"/" + root + path, receiver.file)
            if room is not None:
                return room
        return None

    def _has_room_at(self, path: bytes, inode: int) -> bool | None:
        """Ask by `path`, if that is still the file of this socket; a dead file system must not hang us."""
        try:
            descriptor = self._files.call(lambda: os.open(path, os.O_PATH | os.O_CLOEXEC))
        except (OSError, ReadError):
            return None
        try:
            if os.fstat(descriptor).st_ino & 0xFFFFFFFF != inode:
                return None
            return self._handle.probes.has_room(b"/proc/self/fd/%d" % descriptor)
        finally:
            os.close(descriptor)

    def _with_blocked(
        self, scan: QueueScan, queues: list[DatagramQueue], proc: int
    ) -> Incremental[tuple[DatagramQueue, ...]]:
        """Return the queues that may be full with the processes that wait for room in them. One that waits on a
        socket that is not connected waits for the only full queue, if there is only one."""
        full = [queue for queue in queues if queue.full]
        found = []
        for receiver, queue in zip(scan.receivers, queues, strict=True):
            if queue.full is False:
                found.append(queue)
                continue
            only = scan.unconnected if full == [queue] or (not full and len(queues) == 1) else ()
            blocked = yield from find_blocked(self._holders((*receiver.senders, *only)), proc)
            found.append(replace(queue, blocked=blocked[:MAX_NAMED], blocked_total=len(blocked)))
        return tuple(found)

    def _holders(self, inodes: Collection[int]) -> set[Owner]:
        return {owner for owners in self._owners.holders_of(inodes).values() for owner in owners}
