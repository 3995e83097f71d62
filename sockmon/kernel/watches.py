"""What users hold of epoll and inotify: /proc/PID/fdinfo/FD (fs/eventpoll.c, fs/notify/fdinfo.c).

Which descriptors to look at is known from the walk over descriptors; a file that several processes inherited is
counted once, as the kernel does. What is approximated:

- A user is the real user of the process that holds the file. The kernel charges inotify to the effective user of
  inotify_init(2), also when the process has changed its user since.
- inotify of a process in another user namespace is charged to whoever made that namespace too; here it counts for
  the process's user alone.
- The kernel writes a whole set in one go and keeps its mutex meanwhile, 1.6 µs an entry. So the sets of a process
  with very many descriptors are not read: one watch a descriptor is taken for them.
- Without kcmp(2) files count once that look the same in processes of the same name and user.
"""

from __future__ import annotations

import errno
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sockmon.errors import Unreadable
from sockmon.kernel.kcmp import File, Kcmp
from sockmon.kernel.netlink import Steps
from sockmon.kernel.owners import Watching
from sockmon.kernel.users import Users
from sockmon.model.snapshot import Owner, Process, UserWatches, Watches

MOST = 16_384
"""Descriptors of a process up to which its epoll sets are read: 27 ms for a set that has them all."""
OWNERS = 5
_CHUNK = 1 << 16
_ENTRY = {"eventpoll": b"\ntfd:", "inotify": b"\ninotify wd:"}
_GONE = (errno.ENOENT, errno.ESRCH)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


@dataclass(slots=True)
class _Tally:
    """What is found of one user."""

    epoll: int = 0
    instances: int = 0
    watches: int = 0
    estimated: bool = False
    held: Counter[Watching] = field(default_factory=Counter)

    def add(self, holder: Watching, kind: str, entries: int) -> None:
        if kind == "eventpoll":
            self.epoll += entries
        else:
            self.instances += 1
            self.watches += entries
            self.held[holder] += 1 + entries

    def row(self, uid: int, user: str) -> UserWatches:
        owners = tuple(Owner(who.pid, who.start, who.name, held) for who, held in self.held.most_common(OWNERS))
        return UserWatches(uid, user, self.epoll, self.instances, self.watches, self.estimated, owners)


class WatchCounts:
    """Counts epoll and inotify of all users. Not for use by two threads."""

    def __init__(self, proc: int, users: Users | None = None, most: int = MOST) -> None:
        self._proc = proc
        self._users = users or Users()
        self._most = most
        self._kcmp = Kcmp()

    def steps(
        self, holders: Iterable[Watching], rows: Sequence[Process], at: float, unseen: int = 0
    ) -> Steps[Watches]:
        """All users as of `at`, one descriptor a step; `holders` as the walk over descriptors found them, `unseen`
        the processes that it could not look into."""
        people = {(row.pid, row.start): row for row in rows}
        tallies: defaultdict[int, _Tally] = defaultdict(_Tally)
        files = _Files(self._kcmp)
        large: set[Watching] = set()
        for holder in holders:
            row = people.get((holder.pid, holder.start))
            for number, kind in holder.files if row else ():
                yield
                if row is None or not self._is_still(holder, number, kind) or files.known(kind, holder, number):
                    continue
                tally = tallies[row.uid]
                if kind == "eventpoll" and (row.fds or holder.fds or 0) > self._most:
                    large.add(holder)
                    continue
                entries, look = self._entries(holder, number, kind)
                if entries is not None and not files.looks_known(kind, row, number, look):
                    tally.add(holder, kind, entries)
        for holder in large:
            row = people[holder.pid, holder.start]
            tallies[row.uid].epoll += row.fds or holder.fds or 0
            tallies[row.uid].estimated = True
        users = [tally.row(uid, self._users.name(uid)) for uid, tally in tallies.items()]
        users.sort(key=lambda user: (-user.inotify_watches - user.epoll, user.uid))
        return Watches(at=at, users=tuple(users), unseen=unseen)

    def _is_still(self, holder: Watching, number: int, kind: str) -> bool:
        """Whether a descriptor is what it was when it was walked: its number may be another file's since."""
        try:
            return kind in os.readlink(f"{holder.pid}/fd/{number}", dir_fd=self._proc)
        except OSError as error:
            if error.errno in (*_GONE, *_FORBIDDEN):
                return False
            raise Unreadable("watches", f"cannot read /proc/PID/fd: {error.strerror}") from error

    def _entries(self, holder: Watching, number: int, kind: str) -> tuple[int | None, int]:
        """Entries of an epoll set or inotify instance, None when it is closed, and a hash of what it shows."""
        mark = _ENTRY[kind]
        found, look, tail = 0, 0, b""
        try:
            for data in _chunks(f"{holder.pid}/fdinfo/{number}", self._proc):
                text = tail + data
                found += text.count(mark)
                look = hash((look, data))
                tail = text[1 - len(mark) :]
        except OSError as error:
            if error.errno in (*_GONE, *_FORBIDDEN):
                return None, 0
            raise Unreadable("watches", f"cannot read /proc/PID/fdinfo: {error.strerror}") from error
        return found, look


class _Files:
    """The files that were counted in one walk, to count each once. Inherited ones keep their number."""

    def __init__(self, kcmp: Kcmp) -> None:
        self._kcmp = kcmp
        self._sorted: defaultdict[tuple[str, int], list[File]] = defaultdict(list)
        self._looks: set[object] = set()

    def known(self, kind: str, holder: Watching, number: int) -> bool:
        """True for a file that an earlier process holds too; otherwise it is remembered."""
        if not self._kcmp.works:
            return False
        mine, files = (holder.pid, number), self._sorted[kind, number]
        low, high = 0, len(files)
        while low < high:
            middle = (low + high) // 2
            order = self._kcmp.order(mine, files[middle])
            if order == 0:
                return True
            low, high = (low, middle) if order == -1 else (middle + 1, high)
        files.insert(low, mine)
        return False

    def looks_known(self, kind: str, row: Process, number: int, look: int) -> bool:
        """The same without kcmp(2), by what the file shows."""
        if self._kcmp.works:
            return False
        key = (kind, row.uid, row.name, number, look)
        seen = key in self._looks
        self._looks.add(key)
        return seen


def _chunks(path: str, proc: int) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        while data := os.read(descriptor, _CHUNK):
            yield data
    finally:
        os.close(descriptor)
