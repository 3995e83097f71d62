"""Who owns which socket: an incremental walk over the descriptors of all processes, /proc/PID/fd.

A link costs 4 µs, so a process is walked again only when the number of its descriptors has changed or after a
minute, and of one with very many descriptors a sample is read. A socket that several processes share (workers
that were forked, tables shared by CLONE_FILES) counts for one of them: the lowest pid that is not 1, so that
neither workers nor an init that hands sockets over take it from the service, and sums are not inflated.
"""

from __future__ import annotations

import errno
import os
import random
import time
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.errors import Unreadable
from sockmon.kernel import fds, process_files
from sockmon.kernel.netlink import Steps
from sockmon.kernel.process_files import PROC
from sockmon.model.snapshot import Owner, Process, Processes

SAMPLE = 16_384
"""Descriptors of one process that are read at most; with more of them its numbers are estimates (±3 %)."""
STALE = 60.0
"""Seconds after which a process is walked again although the number of its descriptors is the same."""
LOW = 256
"""Descriptors of a sampled process that are looked at for epoll sets and inotify instances besides: a server
opens them before its first connection."""
_SPARSE = 2  # slots for each descriptor, beyond which most numbers that are tried would be in vain
_NOBODY = -1
_ROWS = 256  # processes looked at in one step when nothing of them changed
_GONE = (errno.ENOENT, errno.ESRCH)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


@dataclass(slots=True)
class _Held:
    """What a process held when it was walked; `scale` descriptors stand behind each that was read."""

    pid: int
    start: int
    name: str
    fds: int | None
    walked: float
    inodes: array[int] = field(default_factory=lambda: array("Q"))
    scale: float = 1.0
    readable: bool = True
    watching: list[tuple[int, str]] = field(default_factory=list)

    def owner(self, sockets: int) -> Owner:
        """This process as the owner of so many of the sockets that were read."""
        return Owner(self.pid, self.start, self.name, round(sockets * self.scale), self.scale != 1.0)


class Watching(NamedTuple):
    """A process that has epoll sets or inotify instances open: number and kind of each of these descriptors."""

    pid: int
    start: int
    name: str
    fds: int | None
    files: tuple[tuple[int, str], ...]


class Owners:
    """Walks processes, and answers which of them owns a socket. Not for use by two threads."""

    def __init__(self, root: str = PROC, sample: int = SAMPLE) -> None:
        self.unseen = 0
        """Processes whose descriptors the last complete walk was not allowed to see."""
        self.at: float | None = None
        """When the last complete walk ended: seconds on CLOCK_BOOTTIME."""
        self._root = root
        self._proc = process_files.open_proc(root)
        self._sample = sample
        self._held: dict[int, _Held] = {}
        self._rows: Sequence[Process] = ()
        self._answers: dict[int, Owner | None] = {}
        self._asked: set[int] = set()
        self._ownerless: dict[int, float] = {}
        self._attributed: dict[int, tuple[Process, Process]] = {}
        self._attributed_at: float | None = None
        self._close_wait: Collection[int] | None = None
        self._waiting: dict[int, int] | None = None

    def close(self) -> None:
        """Close /proc."""
        os.close(self._proc)

    def walk(self, rows: Sequence[Process]) -> Steps[None]:
        """Look at what changed since the last walk, 64 links a step; Unreadable when no file can be opened."""
        if not rows:
            return
        self._rows = rows
        for step, row in enumerate(rows, 1):
            if self._changed(row):
                yield from self._refresh(row)
                yield
            elif step % _ROWS == 0:
                yield
        alive = {row.pid: row.start for row in rows}
        # In the order in which shared sockets are claimed.
        held = sorted(self._held.values(), key=lambda item: (item.pid == 1, item.pid))
        self._held = {item.pid: item for item in held if alive.get(item.pid) == item.start}
        self._answer_again(alive)
        self.unseen = sum(not item.readable for item in self._held.values())
        self.at = _now()

    def find(self, inodes: Collection[int], rows: Sequence[Process] = ()) -> Steps[None]:
        """Search for sockets that `owner_of` does not know, in `rows` or in those of the last walk.

        Processes that changed come first, then those of which only a sample is known, then the rest; whatever
        is found nowhere is not searched for again for a minute."""
        now = _now()
        self._ownerless = {inode: at for inode, at in self._ownerless.items() if now - at < STALE}
        wanted = {inode for inode in inodes if inode not in self._ownerless and self.owner_of(inode) is None}
        for row in self._likely(rows or self._rows) if wanted else ():
            yield from self._search(row, wanted)
            yield
            if not wanted:
                return
        self._ownerless.update(dict.fromkeys(wanted, now))

    def sockets(self, pid: int, start: int) -> int | None:
        """Descriptors of a process that are sockets; None where it was not walked or may not be read."""
        held = self._held.get(pid)
        if held is None or held.start != start or not held.readable:
            return None
        return round(len(held.inodes) * held.scale)

    def watching(self) -> list[Watching]:
        """Processes with epoll sets or inotify instances, in the order in which shared ones are claimed."""
        return [
            Watching(held.pid, held.start, held.name, held.fds, tuple(held.watching))
            for held in self._held.values()
            if held.watching
        ]

    def count(self, inodes: Iterable[int]) -> list[Owner]:
        """Who owns these sockets, largest first; sockets that no known process holds are left out."""
        return self.count_groups([inodes])[0]

    def count_groups(self, groups: Sequence[Iterable[int]]) -> list[list[Owner]]:
        """The same for several groups of sockets at once: one pass over all that is known, not one a group."""
        owners: list[list[Owner]] = [[] for _ in groups]
        for held, counts in self._claims(groups):
            for group, sockets in counts.items():
                owners[group].append(held.owner(sockets))
        for found in owners:
            found.sort(key=lambda owner: (-owner.sockets, owner.pid))
        return owners

    def owner_of(self, inode: int) -> Owner | None:
        """Who holds one socket, a listener for example; None where nobody known does. Answers are kept until
        the next walk: the same listeners are asked for each second."""
        self._asked.add(inode)
        if inode not in self._answers:
            self._answers[inode] = self._holders({inode}).get(inode)
        return self._answers[inode]

    def owners_of(self, inodes: Collection[int]) -> dict[int, Owner]:
        """`owner_of` for many sockets in one pass, for once; those without a known owner are absent."""
        found = {inode: owner for inode in inodes if (owner := self._answers.get(inode)) is not None}
        return {**found, **self._holders(inodes)}

    def _answer_again(self, alive: dict[int, int]) -> None:
        """After a walk: the owners of all sockets that were asked for since the one before, in one pass."""
        found: dict[int, Owner | None] = {
            inode: owner
            for inode in self._asked
            if (owner := self._answers.get(inode)) and alive.get(owner.pid) == owner.start
        }
        self._answers = {**dict.fromkeys(self._asked), **found, **self._holders(self._asked)}
        self._asked = set()

    def _holders(self, inodes: Collection[int]) -> dict[int, Owner]:
        found: dict[int, Owner] = {}
        wanted = set(inodes)
        for held in self._held.values():
            if mine := wanted.intersection(held.inodes):
                found.update(dict.fromkeys(mine, Owner(held.pid, held.start, held.name, 1)))
                wanted -= mine
        return found

    def attribute(self, processes: Processes, close_wait: Collection[int] | None = None) -> Processes:
        """`processes` with their sockets, and with those of the inodes `close_wait` where these are known."""
        if self.at != self._attributed_at or close_wait is not self._close_wait:
            self._attributed_at, self._close_wait, self._attributed = self.at, close_wait, {}
            self._waiting = None if close_wait is None else self._count_by_pid(close_wait)
        known = self._attributed
        for row in processes.rows:
            if row.pid not in known or known[row.pid][0] is not row:
                known[row.pid] = (row, self._with_sockets(row))
        rows = tuple(known[row.pid][1] for row in processes.rows)
        return replace(processes, rows=rows, unseen=self.unseen, owners_at=self.at)

    def _with_sockets(self, row: Process) -> Process:
        sockets = self.sockets(row.pid, row.start)
        if sockets is None:
            return row
        waiting = None if self._waiting is None else self._waiting.get(row.pid, 0)
        return replace(row, sockets=sockets, close_wait=waiting, sampled=self._held[row.pid].scale != 1.0)

    def _count_by_pid(self, inodes: Iterable[int]) -> dict[int, int]:
        return {owner.pid: owner.sockets for owner in self.count(inodes)}

    def _claims(self, groups: Sequence[Iterable[int]]) -> Iterator[tuple[_Held, Counter[int]]]:
        """Each process with how many sockets of which group it claims; what is claimed is gone for the next."""
        index: dict[int, int] = {}
        for number, inodes in enumerate(groups):
            index.update(dict.fromkeys(inodes, number))
        for held in self._held.values():
            if not index:
                return
            counts = Counter(map(index.pop, held.inodes, repeat(_NOBODY)))
            del counts[_NOBODY]
            if counts:
                yield held, counts

    def _changed(self, row: Process) -> bool:
        held = self._held.get(row.pid)
        if held is None or held.start != row.start or held.fds is None or held.fds != row.fds:
            return True
        return _now() - held.walked >= STALE

    def _refresh(self, row: Process) -> Steps[None]:
        """Walk one process; one that has ended meanwhile is forgotten."""
        held = _Held(row.pid, row.start, row.name, row.fds, _now())
        try:
            if row.fds != 0:
                yield from self._read(held)
            self._held[row.pid] = held
        except OSError as error:
            if error.errno in _FORBIDDEN:
                held.readable = False
                self._held[row.pid] = held
            elif error.errno in _GONE:
                self._held.pop(row.pid, None)
            else:
                raise Unreadable("owners", fds.reason(error)) from error

    def _read(self, held: _Held) -> Steps[None]:
        with fds.opened(held.pid, self._proc) as folder:
            if not self._is_still(held.pid, held.start):
                raise ProcessLookupError(errno.ESRCH, "the pid is used again")
            numbers = self._numbers(held, folder)
            seen = yield from fds.sockets(folder, numbers, held.inodes, held.watching)
            if held.fds is None or held.fds <= self._sample:
                return
            yield from fds.sockets(folder, range(LOW), array("Q"), held.watching)
        held.watching = list(dict.fromkeys(held.watching))
        if seen:
            held.scale = max(held.fds / seen, 1.0)

    def _numbers(self, held: _Held, folder: int) -> Sequence[str | int]:
        """Which descriptors to read: all, or a sample that is drawn from slots of the table.

        Listing a million descriptors takes a second, trying 16,384 numbers a tenth. One at random of each
        stretch, because a proxy opens in turns (client, server, client, ...) and a fixed stride would see one
        kind only. The same table gives the same numbers, so that processes that share it share the sample."""
        if held.fds is None or held.fds <= self._sample:
            return os.listdir(folder)
        status = process_files.read(f"{held.pid}/status", self._proc)
        slots = process_files.parse_status(status).fd_size
        draw = random.Random(held.fds)
        if slots is None or slots > held.fds * _SPARSE:
            return _stretches(os.listdir(folder), self._sample, draw)
        return _stretches(range(slots), self._sample * slots // held.fds, draw)

    def _is_still(self, pid: int, start: int) -> bool:
        return process_files.parse_stat(process_files.read(f"{pid}/stat", self._proc)).start == start

    def _likely(self, rows: Sequence[Process]) -> list[Process]:
        def order(row: Process) -> tuple[bool, bool, bool, int]:
            held = self._held.get(row.pid)
            fresh = held is None or held.start != row.start or held.fds != row.fds
            return (not fresh, held is None or held.scale == 1.0, row.pid == 1, row.pid)

        return sorted((row for row in rows if row.fds != 0), key=order)

    def _search(self, row: Process, wanted: set[int]) -> Steps[None]:
        """Take what `row` holds of `wanted`, from all of its descriptors."""
        inodes = array("Q")
        try:
            with fds.opened(row.pid, self._proc) as folder:
                if not self._is_still(row.pid, row.start):
                    return
                yield from fds.sockets(folder, os.listdir(folder), inodes)
        except OSError as error:
            if error.errno not in (*_GONE, *_FORBIDDEN):
                raise Unreadable("owners", fds.reason(error)) from error
        mine = wanted.intersection(inodes)
        self._answers.update(dict.fromkeys(mine, Owner(row.pid, row.start, row.name, 1)))
        wanted -= mine


def _stretches(numbers: Sequence[str | int], sample: int, draw: random.Random) -> list[str | int]:
    """One at random from each of `sample` stretches of equal length."""
    length = len(numbers) / sample
    if length <= 1:
        return list(numbers)
    drawn = (numbers[int((index + draw.random()) * length)] for index in range(sample))
    # Neighbouring short stretches can give the same number, which would count twice.
    return list(dict.fromkeys(drawn))


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
