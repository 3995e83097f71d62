"""Who owns which socket: an incremental walk over the descriptors of all processes, /proc/PID/fd.

A link costs 4 µs, so a process is read again only if the number of its descriptors has changed or after a minute,
and of one with very many descriptors a sample is read: the smaller, the more such processes there are. Its lowest
descriptors, which listeners have, are read before the sample of any process. A socket
that several processes share (forked workers, tables shared by CLONE_FILES) counts for one of them: the lowest pid
that is not 1, so that neither workers nor an init that passes sockets on take it from the service, and sums are
not inflated.
"""

from __future__ import annotations

import os
import time
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat

from sockmon.errors import ReadError
from sockmon.fault_log import FAULTS
from sockmon.kernel.errnos import FORBIDDEN, NO_FREE_FILE, NO_SUCH_PROCESS
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import descriptors as fds
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.proc_files import PROC
from sockmon.kernel.processes.process_sockets import (
    SAMPLE_SIZE,
    ProcessSockets,
    WatchingProcess,
    is_same_process,
    read_first,
    read_sample,
    sample_size,
)
from sockmon.model.snapshot import Owner, Process

STALE_SECONDS = 60.0
"""Seconds after which a process is read again although the number of its descriptors is the same."""
MIN_KINDS = 64
"""Descriptors from which on it is worth a line what they refer to."""
_UNCLAIMED = -1
_ROWS_PER_STEP = 256  # processes in one step if nothing of them changed


class Owners:
    """Reads the descriptors of all processes, and returns which of them owns a socket. Not for use by two
    threads."""

    def __init__(self, root: str = PROC, sample: int = SAMPLE_SIZE, proc: int | None = None) -> None:
        """`proc` is a descriptor of `root` that the caller closes; None: one of our own."""
        self.unseen = 0
        """Processes whose descriptors the last complete walk could not read, for any reason."""
        self.faults: dict[str, int] = {}
        """Those of them that it may read: reason → processes."""
        self.at: float | None = None
        """When the last complete walk ended: seconds on CLOCK_BOOTTIME."""
        self.known: float | None = None
        """Part of all open descriptors whose process was read, 0 to 1; None before the first walk, and if the
        kernel does not count those of a process that may not be read (before Linux 6.2)."""
        self._root = root
        self._own_proc = proc is None
        self._proc = proc_files.open_proc(root) if proc is None else proc
        self._sample = sample
        self._held: dict[int, ProcessSockets] = {}
        self._rows: Sequence[Process] = ()
        self._answers: dict[int, Owner | None] = {}
        self._sharing: dict[int, tuple[Owner, ...]] = {}
        self._asked: set[int] = set()
        self._ownerless: dict[int, float] = {}

    def close(self) -> None:
        """Close /proc."""
        if self._own_proc:
            os.close(self._proc)

    def refresh(self, rows: Sequence[Process]) -> Incremental[None]:
        """Read what changed since the last walk, 64 links a step; raise ReadError if no file can be opened."""
        if not rows:
            return
        self._rows = rows
        sample = sample_size((row.fds or 0 for row in rows), self._sample)
        large = []
        for step, row in enumerate(rows, 1):
            if self._changed(row):
                held = ProcessSockets(row.pid, row.start, row.name, row.fds, _now(), complete=row.fds == 0)
                if not held.complete:
                    yield from self._read(held, read_first(held, self._proc, sample))
                if held.readable and not held.complete:
                    large.append(held)
                self._keep(held)
                yield
            elif step % _ROWS_PER_STEP == 0:
                yield
        self._settle(rows)
        for held in large:
            yield from self._read(held, read_sample(held, self._proc, sample))
            self._keep(held)
            yield
        if large:
            self._settle(rows)
        self.at = _now()

    def search(self, inodes: Collection[int], rows: Sequence[Process] = ()) -> Incremental[None]:
        """Search for sockets that `owner_of` does not know, in `rows` or in those of the last walk.

        Processes that changed come first, then those of which only a sample is known, then the others; what is not
        found is searched for again after a minute."""
        now = _now()
        self._ownerless = {inode: at for inode, at in self._ownerless.items() if now - at < STALE_SECONDS}
        self._asked.update(inodes)
        wanted = set(inodes).difference(self._ownerless, self.owners_of(inodes))
        for row in self._search_order(rows or self._rows) if wanted else ():
            yield from self._search_process(row, wanted)
            yield
            if not wanted:
                return
        self._ownerless.update(dict.fromkeys(wanted, now))

    @property
    def held(self) -> Collection[ProcessSockets]:
        """The processes that were read, in the order in which they claim shared sockets."""
        return self._held.values()

    def sockets(self, pid: int, start: int) -> int | None:
        """Return the number of descriptors of a process that are sockets; None if it was not read."""
        held = self._held_complete(pid, start)
        if held is None:
            return None
        return round(len(held.inodes) * held.scale)

    def kinds(self, pid: int, start: int) -> tuple[tuple[str, int], ...]:
        """Return how many descriptors of a process are of each kind, the most frequent first; empty if it was not
        read, or has fewer than MIN_KINDS."""
        held = self._held_complete(pid, start)
        if held is None or (held.fds or 0) < MIN_KINDS:
            return ()
        counts = Counter(held.kinds)
        counts["socket"] = len(held.inodes)
        return tuple((kind, round(count * held.scale)) for kind, count in counts.most_common() if count)

    def _held_complete(self, pid: int, start: int) -> ProcessSockets | None:
        held = self._held.get(pid)
        return held if held and held.start == start and held.readable and held.complete else None

    def is_sampled(self, pid: int) -> bool:
        """Return whether only a sample of the descriptors of a process was read, so that its numbers are
        estimates."""
        return pid in self._held and self._held[pid].scale != 1.0

    def watching_processes(self) -> list[WatchingProcess]:
        """Return the processes with epoll sets or inotify instances, in the order in which shared ones are
        claimed."""
        return [
            WatchingProcess(held.pid, held.start, held.name, held.fds, tuple(held.watching))
            for held in self._held.values()
            if held.watching
        ]

    def count(self, inodes: Iterable[int]) -> list[Owner]:
        """Return the owners of these sockets, the largest first; leave out sockets that no known process holds."""
        return self.count_groups([inodes])[0]

    def count_groups(self, groups: Sequence[Iterable[int]]) -> list[list[Owner]]:
        """Return the same for several groups of sockets, in one pass over all that is known."""
        owners: list[list[Owner]] = [[] for _ in groups]
        for held, counts in self._claims(groups):
            for group, sockets in counts.items():
                owners[group].append(held.owner(sockets))
        for found in owners:
            found.sort(key=lambda owner: (-owner.sockets, owner.pid))
        return owners

    def add_up(self, amounts: Mapping[int, tuple[int, ...]]) -> list[tuple[Owner, tuple[int, ...]]]:
        """Return the sums of `amounts`, which are by socket, for each process that holds some of the sockets: the
        largest first amount first."""
        left, found = dict(amounts), list[tuple[Owner, tuple[int, ...]]]()
        for held in self._held.values() if left else ():
            if mine := [left.pop(inode) for inode in left.keys() & held.inodes]:
                sums = (round(sum(column) * held.scale) for column in zip(*mine, strict=True))
                found.append((held.owner(len(mine)), tuple(sums)))
        return sorted(found, key=lambda pair: pair[1], reverse=True)

    def owner_of(self, inode: int) -> Owner | None:
        """Return the owner of one socket, a listener for example; None if no known process holds it. Answers are
        kept until the next walk: the same listeners are asked for each second."""
        self._asked.add(inode)
        if inode not in self._answers:
            self._learn({inode})
        return self._answers[inode]

    def holders_of(self, inodes: Collection[int]) -> dict[int, tuple[Owner, ...]]:
        """Return all processes that hold each of these sockets, the owner first; leave out those without a known
        owner. Answers are kept as those of `owner_of` are."""
        self._asked.update(inodes)
        self._learn(set(inodes).difference(self._answers))
        return {
            inode: self._sharing.get(inode) or (owner,)
            for inode in inodes
            if (owner := self._answers.get(inode)) is not None
        }

    def owners_of(self, inodes: Collection[int]) -> dict[int, Owner]:
        """Return `owner_of` for many sockets in one pass; leave out those without a known owner."""
        self._learn(set(inodes).difference(self._answers))
        return {inode: owner for inode in inodes if (owner := self._answers[inode]) is not None}

    def _renew_answers(self, alive: dict[int, int]) -> None:
        """After a walk find the owners of all sockets that were asked for since the last one, in one pass."""
        found: dict[int, Owner | None] = {
            inode: owner
            for inode in self._asked
            if (owner := self._answers.get(inode)) and alive.get(owner.pid) == owner.start
        }
        self._answers, self._sharing = {}, {}
        self._learn(self._asked)
        self._answers.update((inode, owner) for inode, owner in found.items() if self._answers[inode] is None)
        self._asked = set()

    def _learn(self, inodes: Collection[int]) -> None:
        """Note the holders of `inodes`, in one pass over all that is known."""
        holders: dict[int, list[Owner]] = {inode: [] for inode in inodes}
        wanted = set(inodes)
        for held in self._held.values() if wanted else ():
            for inode in wanted.intersection(held.inodes).union(wanted.intersection(held.lowest)):
                holders[inode].append(Owner(held.pid, held.start, held.name, 1))
        for inode, owners in holders.items():
            self._answers[inode] = owners[0] if owners else None
            if len(owners) > 1:
                self._sharing[inode] = tuple(owners)

    def _claims(self, groups: Sequence[Iterable[int]]) -> Iterator[tuple[ProcessSockets, Counter[int]]]:
        """Yield each process with the number of sockets that it claims of each group; a claimed socket is not left
        for the next."""
        index: dict[int, int] = {}
        for number, inodes in enumerate(groups):
            index.update(dict.fromkeys(inodes, number))
        for held in self._held.values():
            if not index:
                return
            counts = Counter(map(index.pop, held.inodes, repeat(_UNCLAIMED)))
            del counts[_UNCLAIMED]
            if counts:
                yield held, counts

    def _changed(self, row: Process) -> bool:
        held = self._held.get(row.pid)
        if held is None or held.start != row.start or held.fds is None or held.fds != row.fds:
            return True
        return _now() - held.read_at >= STALE_SECONDS

    def _read(self, held: ProcessSockets, steps: Incremental[None]) -> Incremental[None]:
        """Run `steps`, which read into `held`; note a process that cannot be read: the others still can."""
        try:
            yield from steps
        except OSError as error:
            if error.errno in NO_FREE_FILE:
                raise ReadError("owners", fds.unreadable_reason(error, held.pid)) from error
            held.mark_unreadable("" if error.errno in FORBIDDEN else fds.unreadable_reason(error, held.pid))
            held.ended = error.errno in NO_SUCH_PROCESS
        except Exception as error:
            held.mark_unreadable(FAULTS.note("owners", error))

    def _keep(self, held: ProcessSockets) -> None:
        """Note a process that was read; of one whose sample is still to come what was read before stays."""
        before = self._held.get(held.pid)
        known = before is not None and before.start == held.start and before.readable
        if held.ended:
            self._held.pop(held.pid, None)
        elif held.complete or not held.readable or not known:
            self._held[held.pid] = held

    def _settle(self, rows: Sequence[Process]) -> None:
        """Forget the processes that are not among `rows`, and answer again with what was read."""
        alive = {row.pid: row.start for row in rows}
        # In the order in which shared sockets are claimed.
        held = sorted(self._held.values(), key=lambda item: (item.pid == 1, item.pid))
        self._held = {item.pid: item for item in held if alive.get(item.pid) == item.start}
        self._renew_answers(alive)
        self.unseen = sum(not item.readable for item in self._held.values())
        self.faults = dict(Counter(item.fault for item in self._held.values() if item.fault))
        self.known = _known_part(self._held.values())

    def _search_order(self, rows: Sequence[Process]) -> list[Process]:
        def order(row: Process) -> tuple[bool, bool, bool, int]:
            held = self._held.get(row.pid)
            fresh = held is None or held.start != row.start or held.fds != row.fds
            return (not fresh, held is None or (held.complete and held.scale == 1.0), row.pid == 1, row.pid)

        return sorted((row for row in rows if row.fds != 0), key=order)

    def _search_process(self, row: Process, wanted: set[int]) -> Incremental[None]:
        """Remove from `wanted` what `row` holds, and remember its owner; read all of its descriptors."""
        inodes = array("Q")
        try:
            with fds.open_fd_dir(row.pid, self._proc) as folder:
                if not is_same_process(row.pid, row.start, self._proc):
                    return
                yield from fds.read_socket_links(folder, os.listdir(folder), inodes)
        except OSError as error:
            if error.errno in NO_FREE_FILE:
                raise ReadError("owners", fds.unreadable_reason(error, row.pid)) from error
        except Exception as error:
            FAULTS.note("owners", error)
        mine = wanted.intersection(inodes)
        self._answers.update(dict.fromkeys(mine, Owner(row.pid, row.start, row.name, 1)))
        wanted -= mine


def _known_part(every: Collection[ProcessSockets]) -> float | None:
    """Return the part of all descriptors that were read; None if not all could be counted."""
    if any(item.fds is None and not item.complete for item in every):
        return None
    counts = [(item.fds or 0, item.complete) for item in every]
    return sum(count for count, complete in counts if complete) / max(sum(count for count, _ in counts), 1)


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
