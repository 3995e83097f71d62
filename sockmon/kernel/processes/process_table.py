"""All processes with their descriptors and RLIMIT_NOFILE, from /proc.

Each time, the limit of each process is read, which others may change, and whether it has run (`cpu_clock`). Only
if it has, its descriptors and threads are counted: two stat(2). What a process *is* seldom changes, so it is
cached and read again in turn. `process_reader` reads one process.
"""

from __future__ import annotations

import os
import resource

from sockmon.errors import ReadError
from sockmon.format import plural
from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.netlink import Incremental, run
from sockmon.kernel.processes.passwd import Users
from sockmon.kernel.processes.proc_files import PROC
from sockmon.kernel.processes.process_reader import CacheEntry, ProcessReader
from sockmon.kernel.processes.read_timeout import TimeoutReader
from sockmon.model.snapshot import HIDDEN_PROCESSES, Missing, Process, Processes

REFRESH_EVERY = 10
"""Table reads between two reads of start time and memory of a process whose descriptors do not change."""
IDLE_REFRESH_EVERY = 60
"""The same for one that has not run since it was identified: only others can change its memory, by swapping."""
_ROWS_PER_STEP = 128
_HIDDEN = "/proc is mounted with hidepid: processes of other users are not shown"


class ProcessTable:
    """Reads the table again and again; ReadError if there is no /proc of this pid namespace.

    Kernel threads are left out: they open nothing and have no limit. Zombies are in it, with 0 descriptors.
    Memory is the kernel's quick count, which lags by some pages for each processor. Not for use by two threads."""

    def __init__(
        self, root: str = PROC, timeout_reader: TimeoutReader | None = None, users: Users | None = None
    ) -> None:
        self.missing: tuple[Missing, ...] = ()
        """What the last `read` could not read, and why."""
        self.timeout_reader = timeout_reader or TimeoutReader()
        """Makes the reads that may hang."""
        self._users = users or Users()
        self._reader = ProcessReader(root, self.timeout_reader, self._users)
        self.proc = self._reader.proc
        """A descriptor of /proc, to read more of one process."""
        self._root = root
        self._users_version = 0
        self._cache: dict[str, CacheEntry] = {}
        self._turn = 0

    def close(self) -> None:
        """Close /proc and end the thread that reads command lines."""
        self.timeout_reader.close()
        os.close(self.proc)

    def read(self, at: float) -> Processes:
        """Return all processes as of `at`, at once."""
        return run(self.steps(at))

    def steps(self, at: float) -> Incremental[Processes]:
        """Return all processes as of `at`, some hundred a step; `Owners.attribute` fills in `unseen` and
        `owners_at`."""
        self._turn += 1
        self._reader.reset()
        cache, names = self._cache, self._list_names()
        self._apply_new_names()
        rows = []
        turn, may_differ = self._turn % REFRESH_EVERY, self._reader.may_differ
        # With an older kernel the descriptors of each process are listed.
        fast = self._reader.size_counts_fds
        for number, name in enumerate(names, 1):
            if number % _ROWS_PER_STEP == 0:
                yield
            entry = cache.get(name)
            if entry is None:
                if not name.isdecimal():
                    continue
                entry = cache[name] = CacheEntry(int(name))
            row, in_turn = entry.row, entry.pid % REFRESH_EVERY == turn
            if may_differ(entry) or in_turn or row is None or not fast:
                row = self._read_again(entry, in_turn)
            if row is not None:
                rows.append(row)
        for name in cache.keys() - set(names):
            del cache[name]
        hidden = self._hidepid_reason(names)
        self.missing = self._missing_parts(hidden)
        if not rows and self.missing:
            raise ReadError("processes", self.missing[-1].reason)
        namespaces = self._reader.namespaces.in_use(rows)
        return Processes(at, tuple(rows), 0, None, hidden, namespaces)

    def read_one(self, pid: int) -> Process | None:
        """Return one process, without the cache; None if it has ended, is a kernel thread, or cannot be read."""
        entry = CacheEntry(pid)
        entry.hangs = self.hangs(pid)
        row = self._reader.read_or_skip(entry, due=True)
        if entry.hangs:
            self.note_hang(pid)
        return row

    def cpu_time(self, pid: int) -> int | None:
        """Return the nanoseconds that a process had run at the last read; None if they are not known. If they are
        the same, so is all that only the process itself can change, see `cpu_clock`."""
        entry = self._cache.get(str(pid))
        return entry.cpu_time if entry is not None else None

    def hangs(self, pid: int) -> bool:
        """Return whether reading the command line of this process hung."""
        entry = self._cache.get(str(pid))
        return entry is not None and entry.hangs

    def note_hang(self, pid: int) -> None:
        """Note that a read of this process hung, so that no other thread is lost to it."""
        entry = self._cache.get(str(pid))
        if entry is not None:
            entry.hangs = True

    def _list_names(self) -> list[str]:
        try:
            return os.listdir(self._root)
        except OSError as error:
            if error.errno in NO_FREE_FILE and self._cache:
                self._reader.starved = True
                return list(self._cache)
            raise ReadError("processes", f"cannot list {self._root}: {error.strerror}") from error

    def _apply_new_names(self) -> None:
        """Drop the cached rows of users whose name has become known since."""
        if self._users.version == self._users_version:
            return
        self._users_version = self._users.version
        for entry in self._cache.values():
            if entry.row is not None and entry.row.user == str(entry.uid):
                entry.row = None

    def _hidepid_reason(self, names: list[str]) -> str:
        """Return why processes of other users are not shown; empty if they are."""
        if self._reader.hidden:
            return f"{plural(self._reader.hidden, 'process')} may not be read: /proc is mounted with hidepid"
        return _HIDDEN if self._root == PROC and not self._reader.starved and "1" not in names else ""

    def _missing_parts(self, hidden: str) -> tuple[Missing, ...]:
        reader = self._reader
        others = [Missing("processes", hidden, unjudged=HIDDEN_PROCESSES)] if hidden else []
        reasons = []
        if reader.malformed:
            reasons.append(f"{plural(reader.malformed, 'process')} with a malformed /proc/PID/stat or status")
        reasons += [f"files of {plural(count, 'process')}: {fault}" for fault, count in reader.faults.items()]
        if reader.starved:
            reasons.append("no file can be opened (EMFILE or ENFILE): new processes are not seen")
        return (*others, *(Missing("processes", reason) for reason in reasons))

    def _read_again(self, entry: CacheEntry, in_turn: bool) -> Process | None:
        """Return the row of a process that may differ, or whose turn it is."""
        due = in_turn and (
            not entry.known_idle or entry.pid % IDLE_REFRESH_EVERY == self._turn % IDLE_REFRESH_EVERY
        )
        row = entry.row
        if row is not None and not due and self._reader.size_counts_fds and self._is_same(entry, row, in_turn):
            return row
        return self._reader.read_or_skip(entry, due)

    def _is_same(self, entry: CacheEntry, row: Process, in_turn: bool) -> bool:
        """Return whether descriptors, threads and limits are those of the last read."""
        try:
            if os.stat(entry.fd, dir_fd=self.proc).st_size != row.fds or not row.fds:
                return False
            if entry.can_prlimit:
                entry.nofile = resource.prlimit(entry.pid, resource.RLIMIT_NOFILE)
            if self._reader.count_threads(entry) != row.threads:
                entry.row = None
            elif in_turn:
                self._reader.refresh_limits(entry)
        except OSError:
            return False
        return entry.row is row and (row.soft, row.hard) == entry.nofile
