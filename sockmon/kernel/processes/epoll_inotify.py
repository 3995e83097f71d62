"""The epoll, inotify and fanotify watches of users: /proc/PID/fdinfo/FD (fs/eventpoll.c, fs/notify/fdinfo.c).

`socket_owners` finds the descriptors; a file that several processes inherited counts once, as in the kernel. Four
things are approximate.

A user is the real user of the process that holds the file. The kernel charges inotify and fanotify to the
effective user of inotify_init(2) or fanotify_init(2), also if the process has changed its user since.

inotify of a process in a user namespace below ours is charged to the creator of that namespace too. The count of
the process's own user there has a limit of its own, user.max_inotify_instances of that namespace, which only a
process inside can read and which is practically unlimited unless it was set: it is left out.

The kernel writes a whole set in one go and holds its mutex meanwhile, 1.6 µs an entry. So the sets of a process
with very many descriptors are not read: one watch for each descriptor is assumed.

Without kcmp(2), files with the same content in processes of the same name and user count once.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sockmon.errors import ReadError
from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.kcmp import File, Kcmp
from sockmon.kernel.processes.passwd import Users
from sockmon.kernel.processes.process_sockets import WatchingProcess
from sockmon.model.snapshot import Owner, Process, UserNamespace, UserWatches, Watches
from sockmon.model.user_namespace import charged

MAX_DESCRIPTORS = 16_384
"""A process with more descriptors does not have its epoll sets read: 27 ms for a set that has them all."""
MAX_OWNERS = 5
_CHUNK_BYTES = 1 << 16
_ENTRY = {"eventpoll": b"\ntfd:", "inotify": b"\ninotify wd:", "fanotify": b"\nfanotify "}
_GROUP_FLAGS = re.compile(rb"\nfanotify flags:([0-9a-f]+) ")
"""The first line of fanotify, which is not a mark."""
_FAN_UNLIMITED_MARKS = 0x20
_TARGET = re.compile(rb" ino:([0-9a-f]+) sdev:")
"""The inode of a file in an epoll set, hexadecimal (from Linux 4.13 on)."""


@dataclass(slots=True)
class _UserTally:
    """The counts of one user."""

    epoll: int = 0
    instances: int = 0
    watches: int = 0
    estimated: bool = False
    held: Counter[WatchingProcess] = field(default_factory=Counter)
    groups: int = 0
    marks: int = 0
    holding_groups: Counter[WatchingProcess] = field(default_factory=Counter)

    def add(self, holder: WatchingProcess, kind: str, entries: int) -> None:
        if kind == "eventpoll":
            self.epoll += entries
        elif kind == "fanotify":
            self.groups += 1
            self.marks += entries
            self.holding_groups[holder] += 1 + entries
        else:
            self.instances += 1
            self.watches += entries
            self.held[holder] += 1 + entries

    def row(self, uid: int, user: str) -> UserWatches:
        return UserWatches(
            uid,
            user,
            self.epoll,
            self.instances,
            self.watches,
            self.estimated,
            _owners(self.held),
            self.groups,
            self.marks,
            _owners(self.holding_groups),
        )


def _owners(held: Counter[WatchingProcess]) -> tuple[Owner, ...]:
    return tuple(Owner(who.pid, who.start, who.name, count) for who, count in held.most_common(MAX_OWNERS))


class WatchCounter:
    """Counts epoll, inotify and fanotify of all users. Not for use by two threads."""

    def __init__(self, proc: int, users: Users | None = None, max_descriptors: int = MAX_DESCRIPTORS) -> None:
        self._proc = proc
        self._users = users or Users()
        self._max_descriptors = max_descriptors
        self._kcmp = Kcmp()
        self.members: Mapping[int, Collection[int]] = {}
        """The `wanted` inodes of the last run → the pids in whose epoll sets they are."""

    def steps(
        self,
        holders: Iterable[WatchingProcess],
        rows: Sequence[Process],
        at: float,
        unseen: int = 0,
        wanted: Collection[int] = (),
        namespaces: Iterable[UserNamespace] = (),
    ) -> Incremental[Watches]:
        """Return the counts of all users as of `at`, one descriptor a step; `holders` as `Owners` found them,
        `unseen` the number of processes that it could not read, `wanted` the inodes that `members` looks for,
        `namespaces` the user namespaces below ours."""
        by_identity = {(row.pid, row.start): row for row in rows}
        creators = {each.inode: each for each in namespaces}
        tallies: defaultdict[int, _UserTally] = defaultdict(_UserTally)
        files = _CountedFiles(self._kcmp)
        members = _Members(wanted)
        large: set[WatchingProcess] = set()
        for holder in holders:
            row = by_identity.get((holder.pid, holder.start))
            for number, kind in holder.files if row else ():
                if kind not in _ENTRY:
                    continue
                yield
                if row is None or not self._is_same_kind(holder, number, kind):
                    continue
                if same := files.seen_by_kcmp(kind, holder, number):
                    members.share(same, holder.pid)
                    continue
                if kind == "eventpoll" and (row.fds or holder.fds or 0) > self._max_descriptors:
                    large.add(holder)
                    continue
                entries, content = self._entries(holder, number, kind, members)
                if entries is not None and not files.seen_by_content(kind, row, number, content):
                    for uid in _counting_users(kind, row, creators):
                        tallies[uid].add(holder, kind, entries)
        for holder in large:
            row = by_identity[holder.pid, holder.start]
            tallies[row.uid].epoll += row.fds or holder.fds or 0
            tallies[row.uid].estimated = True
        users = [tally.row(uid, self._users.name(uid)) for uid, tally in tallies.items()]
        self.members = members.pids
        users.sort(key=lambda user: (-user.inotify_watches - user.epoll, user.uid))
        return Watches(at=at, users=tuple(users), unseen=unseen)

    def _is_same_kind(self, holder: WatchingProcess, number: int, kind: str) -> bool:
        """Return whether a descriptor is of the kind that was found: its number may be another file's since."""
        try:
            return kind in os.readlink(f"{holder.pid}/fd/{number}", dir_fd=self._proc)
        except OSError as error:
            if error.errno not in NO_FREE_FILE:
                return False
            raise ReadError("watches", f"cannot read /proc/PID/fd: {error.strerror}") from error

    def _entries(
        self, holder: WatchingProcess, number: int, kind: str, members: _Members
    ) -> tuple[int | None, int]:
        """Return the entries of an epoll set, inotify instance or fanotify group, None if it is closed, and a hash
        of its content; add what an epoll set has to `members`."""
        marker = _ENTRY[kind]
        found, content, tail, flags = 0, 0, b"", None
        try:
            for data in _chunks(f"{holder.pid}/fdinfo/{number}", self._proc):
                text = tail + data
                found += text.count(marker)
                content = hash((content, data))
                tail = text[1 - len(marker) :]
                if kind == "eventpoll":
                    members.add(data, (holder.pid, number))
                elif kind == "fanotify" and flags is None:
                    flags = _GROUP_FLAGS.search(data)
        except OSError as error:
            if error.errno not in NO_FREE_FILE:
                return None, 0
            raise ReadError("watches", f"cannot read /proc/PID/fdinfo: {error.strerror}") from error
        if kind == "fanotify":
            found = _counted_marks(found, flags)
        return found, content


def _counted_marks(lines: int, flags: re.Match[bytes] | None) -> int:
    """Return the marks of a group that count: all but the line of its flags, or none."""
    if flags is None:
        return lines
    return 0 if int(flags[1], 16) & _FAN_UNLIMITED_MARKS else lines - 1


def _counting_users(kind: str, row: Process, creators: Mapping[int, UserNamespace]) -> list[int]:
    """Return the users of our own user namespace whose count a file is in: epoll knows no namespaces."""
    if kind == "eventpoll":
        return [row.uid]
    counts = charged(creators, row.user_namespace, row.uid)
    return [uid for namespace, uid in counts if namespace == 0]


class _Members:
    """The `wanted` inodes that are in epoll sets, and in whose."""

    def __init__(self, wanted: Collection[int]) -> None:
        self._wanted = frozenset(wanted)
        self._found: defaultdict[File, set[int]] = defaultdict(set)
        self._line = b""
        self.pids: defaultdict[int, set[int]] = defaultdict(set)

    def add(self, data: bytes, file: File) -> None:
        """Note what the next part of the text of `file` names; a line may be split between two parts."""
        if not self._wanted:
            return
        text = self._line + data
        self._line = text[text.rfind(b"\n") + 1 :][:256]
        for inode in self._wanted.intersection(int(number, 16) for number in _TARGET.findall(text)):
            self._found[file].add(inode)
            self.pids[inode].add(file[0])

    def share(self, file: File, pid: int) -> None:
        """Note that another process holds the same file."""
        for inode in self._found.get(file, ()):
            self.pids[inode].add(pid)


class _CountedFiles:
    """The files that were counted in one walk, to count each once. Inherited ones keep their number."""

    def __init__(self, kcmp: Kcmp) -> None:
        self._kcmp = kcmp
        self._sorted: defaultdict[tuple[str, int], list[File]] = defaultdict(list)
        self._contents: set[object] = set()

    def seen_by_kcmp(self, kind: str, holder: WatchingProcess, number: int) -> File | None:
        """Return the same file in an earlier process; if there is none remember this one."""
        if not self._kcmp.works:
            return None
        mine, files = (holder.pid, number), self._sorted[kind, number]
        low, high = 0, len(files)
        while low < high:
            middle = (low + high) // 2
            order = self._kcmp.order(mine, files[middle])
            if order == 0:
                return files[middle]
            low, high = (low, middle) if order == -1 else (middle + 1, high)
        files.insert(low, mine)
        return None

    def seen_by_content(self, kind: str, row: Process, number: int, content: int) -> bool:
        """Return the same without kcmp(2), by the content of fdinfo."""
        if self._kcmp.works:
            return False
        key = (kind, row.uid, row.name, number, content)
        seen = key in self._contents
        self._contents.add(key)
        return seen


def _chunks(path: str, proc: int) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        while data := os.read(descriptor, _CHUNK_BYTES):
            yield data
    finally:
        os.close(descriptor)
