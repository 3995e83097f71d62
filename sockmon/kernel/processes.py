"""All processes with their descriptors and RLIMIT_NOFILE: /proc/PID/stat, status, cmdline, fd and prlimit(2).

What a process *is* hardly changes, so it is remembered by (pid, start) and looked at again in turn; what runs
out, the descriptors and their limit, is asked each time: one stat(2) and one prlimit(2) a process.
"""

from __future__ import annotations

import errno
import os
import resource
from contextlib import suppress

from sockmon.errors import Unreadable
from sockmon.kernel import limits, process_files
from sockmon.kernel.aside import Aside, Blocked
from sockmon.kernel.netlink import Steps, run
from sockmon.kernel.process_files import COMMAND_BYTES, PROC, Stat
from sockmon.kernel.userns import Exemption
from sockmon.kernel.users import Users
from sockmon.model.snapshot import Missing, Process, Processes

VISIT_EVERY = 10
"""Reads between two looks at the start time, threads and memory of a process whose descriptors do not change."""
THREADS_EVERY = 5
"""Reads between two looks at the number of threads of such a process."""
MANY_THREADS = 16
"""Threads from which on they are looked at with each read: who has many may soon have too many."""
IDENTIFY_EVERY = 4
"""Visits between two looks at the command line and user: both may change while name and start stay."""
_YOUNG = 2  # visits in which a process is about to exec and to change its user
_STEP = 128
_STARVED = (errno.EMFILE, errno.ENFILE)
_HIDDEN = "/proc is mounted with hidepid: processes of other users are not shown"


class _Known:
    """What is remembered of one process."""

    __slots__ = (
        "command", "exempt", "fd", "hangs", "may_ask", "nofile", "nproc", "pid", "row", "stat", "task", "uid",
        "visits",
    )  # fmt: skip

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = f"{pid}/fd"
        self.task = f"{pid}/task"
        self.forget()

    def forget(self) -> None:
        """The pid is another process now."""
        self.stat: Stat | None = None
        self.row: Process | None = None
        self.uid = 0
        self.command = ""
        self.hangs = False
        self.may_ask = True
        self.nofile: tuple[int | None, int | None] = (None, None)
        self.nproc: int | None = None
        self.exempt = False
        self.visits = 0


class ProcessTable:
    """Reads the table again and again; Unreadable when there is no /proc of this pid namespace.

    Kernel threads are left out: they open nothing and have no limit. Zombies are in it, with 0 descriptors.
    Memory is the kernel's quick count, which lags by some pages for each processor. What a read could not see
    stands in `missing` afterwards. Not for use by two threads."""

    def __init__(self, root: str = PROC, aside: Aside | None = None) -> None:
        self.missing: tuple[Missing, ...] = ()
        """What the last `read` could not see, and why."""
        self.proc = process_files.open_proc(root)
        """A descriptor of /proc, for those who look closer at one process."""
        self.aside = aside or Aside()
        """Where reads are made that may hang."""
        self._root = root
        self._users = Users()
        self._exemption = Exemption(self.proc)
        self._known: dict[str, _Known] = {}
        self._turn = 0
        self._sized: bool | None = None
        self._starved = False
        self._hidden = self._malformed = 0

    def close(self) -> None:
        """Close /proc and end the thread that reads command lines."""
        self.aside.close()
        os.close(self.proc)

    def read(self, at: float) -> Processes:
        """All processes as of `at`, at once."""
        return run(self.steps(at))

    def steps(self, at: float) -> Steps[Processes]:
        """All processes as of `at`, some hundred a step; `unseen` and `owners_at` are for `Owners.attribute` to
        fill in."""
        self._turn = (self._turn + 1) % VISIT_EVERY
        self._starved, self._hidden, self._malformed = False, 0, 0
        known, names = self._known, self._names()
        rows = []
        for number, name in enumerate(names, 1):
            if number % _STEP == 0:
                yield
            entry = known.get(name)
            if entry is None:
                if not name.isdecimal():
                    continue
                entry = known[name] = _Known(int(name))
            if (row := self._steady(entry) or self._row(entry)) is not None:
                rows.append(row)
        for name in known.keys() - set(names):
            del known[name]
        self.missing = self._unseen(names)
        return Processes(at=at, rows=tuple(rows), unseen=0, owners_at=None)

    def one(self, pid: int) -> Process | None:
        """One process, all of it read anew; None when it has ended, is a kernel thread, or may not be read."""
        entry = _Known(pid)
        entry.hangs = self.hangs(pid)
        return self._row(entry)

    def hangs(self, pid: int) -> bool:
        """True when this process did not let its command line be read."""
        known = self._known.get(str(pid))
        return known is not None and known.hangs

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._root)
        except OSError as error:
            if error.errno in _STARVED and self._known:
                self._starved = True
                return list(self._known)
            raise Unreadable("processes", f"cannot list {self._root}: {error.strerror}") from error

    def _unseen(self, names: list[str]) -> tuple[Missing, ...]:
        reasons = []
        if self._root == PROC and not self._starved and "1" not in names:
            reasons.append(_HIDDEN)
        if self._hidden:
            reasons.append(f"{self._hidden} processes may not be read: /proc is mounted with hidepid")
        if self._malformed:
            reasons.append(f"{self._malformed} processes with a malformed /proc/PID/stat or status")
        if self._starved:
            reasons.append("no file can be opened (EMFILE or ENFILE): new processes are not seen")
        return tuple(Missing("processes", reason) for reason in reasons)

    def _steady(self, entry: _Known) -> Process | None:
        """The row of the last read when nothing changed and no visit is due; all that most processes need."""
        row, pid = entry.row, entry.pid
        if row is None or not self._sized or pid % VISIT_EVERY == self._turn:
            return None
        try:
            if os.stat(entry.fd, dir_fd=self.proc).st_size != row.fds or not row.fds:
                return None
            if entry.may_ask and resource.prlimit(pid, resource.RLIMIT_NOFILE) != entry.nofile:
                return None
            looks = row.threads >= MANY_THREADS or pid % THREADS_EVERY == self._turn % THREADS_EVERY
            if looks and self._threads(entry) != row.threads:
                entry.row = None
                return None
        except OSError:
            return None
        return row

    def _threads(self, entry: _Known) -> int:
        # The link count of a directory, as if each thread's were one in it (fs/proc/base.c, proc_task_getattr).
        return os.stat(entry.task, dir_fd=self.proc).st_nlink - 2

    def _row(self, entry: _Known) -> Process | None:
        """The process now; None when it has ended, is a kernel thread, or may not be read."""
        try:
            return self._look(entry)
        except (FileNotFoundError, ProcessLookupError):
            entry.forget()
        except PermissionError:
            entry.forget()
            self._hidden += 1
        except (ValueError, IndexError):
            entry.forget()
            self._malformed += 1
        return None

    def _look(self, entry: _Known) -> Process | None:
        due = entry.stat is None or entry.pid % VISIT_EVERY == self._turn
        if due:
            self._visit(entry)
        if entry.stat is None or entry.stat.kernel_thread:
            return None
        fds, row = self._count(entry), entry.row
        soft, hard = self._nofile(entry) if entry.may_ask else entry.nofile
        if row is not None and row.fds == fds and row.soft == soft and row.hard == hard:
            return row
        if not due:
            self._visit(entry)
        entry.row = self._compose(entry, fds, soft, hard)
        return entry.row

    def _compose(self, entry: _Known, fds: int | None, soft: int | None, hard: int | None) -> Process | None:
        stat = entry.stat
        if stat is None or stat.kernel_thread:
            return None
        return Process(
            entry.pid,
            stat.start,
            stat.name,
            entry.command,
            entry.uid,
            self._users.name(entry.uid),
            stat.threads,
            stat.rss,
            fds,
            soft,
            hard,
            nproc=entry.nproc if self._exemption.named(entry.uid) else None,
            exempt=entry.exempt,
        )

    def _visit(self, entry: _Known) -> None:
        """Look whether it is still the same process, and at what changes slowly."""
        try:
            stat = process_files.parse_stat(process_files.read(f"{entry.pid}/stat", self.proc))
            old = entry.stat
            if old is not None and old.start != stat.start:
                entry.forget()
                old = None
            if stat != old:
                entry.row = None
            renewed = old is None or old.name != stat.name
            if renewed or entry.visits <= _YOUNG or entry.visits % IDENTIFY_EVERY == 0:
                self._identify(entry, stat)
            if not stat.kernel_thread:
                self._visit_limits(entry)
        except OSError as error:
            if error.errno not in _STARVED:
                raise
            self._starved = True
            return
        entry.stat = stat
        entry.visits += 1

    def _identify(self, entry: _Known, stat: Stat) -> None:
        """Read who it is: user and command line."""
        entry.may_ask = self._root == PROC
        if stat.kernel_thread:
            return
        status = process_files.read(f"{entry.pid}/status", self.proc)
        entry.uid = process_files.parse_status(status).uid
        capabilities = process_files.parse_capabilities(status)
        entry.exempt = self._exemption.spares(entry.pid, entry.uid, capabilities)
        entry.command = self._command(entry, stat.name)
        entry.row = None

    def _command(self, entry: _Known, name: str) -> str:
        """The command line, which is read below a lock that may be held for ever: then the name, marked."""
        path = f"{entry.pid}/cmdline"
        if entry.hangs:
            return f"[{name}] (blocked)"
        try:
            raw = self.aside.call(lambda: process_files.read(path, self.proc, COMMAND_BYTES))
        except Blocked:
            entry.hangs = True
            return f"[{name}] (blocked)"
        except Unreadable:
            return entry.command or f"[{name}]"
        return process_files.parse_command(raw, name)

    def _count(self, entry: _Known) -> int | None:
        """Open descriptors; None where they may not be counted."""
        if self._sized is None:
            self._sized = self._size_counts()
        try:
            if not self._sized:
                return len(os.listdir(f"{self._root}/{entry.fd}"))
            fds = os.stat(entry.fd, dir_fd=self.proc).st_size
        except PermissionError:
            return None
        except OSError as error:
            if error.errno not in _STARVED:
                raise
            self._starved = True
            return None
        if fds == 0 and entry.stat is not None and entry.stat.threads > 1:
            return self._count_by_thread(entry)
        return fds

    def _count_by_thread(self, entry: _Known) -> int | None:
        """Descriptors of a process whose first thread has exited: the others still hold the table."""
        try:
            for thread in os.listdir(f"{self._root}/{entry.pid}/task"):
                if fds := os.stat(f"{entry.pid}/task/{thread}/fd", dir_fd=self.proc).st_size:
                    return fds
        except OSError:
            return None
        return 0

    def _nofile(self, entry: _Known) -> tuple[int | None, int | None]:
        """RLIMIT_NOFILE; of another user's process prlimit(2) needs CAP_SYS_RESOURCE, the file needs nothing."""
        try:
            entry.nofile = resource.prlimit(entry.pid, resource.RLIMIT_NOFILE)
        except PermissionError:
            entry.may_ask = False
            self._limits_of_file(entry)
        return entry.nofile

    def _visit_limits(self, entry: _Known) -> None:
        """RLIMIT_NPROC, which a process seldom changes; and RLIMIT_NOFILE where it takes the file anyway."""
        before = entry.nproc
        if entry.may_ask:
            try:
                entry.nproc = resource.prlimit(entry.pid, resource.RLIMIT_NPROC)[0]
            except PermissionError:
                entry.may_ask = False
        if not entry.may_ask:
            self._limits_of_file(entry)
        if entry.nproc != before:
            entry.row = None

    def _limits_of_file(self, entry: _Known) -> None:
        try:
            text = process_files.read(f"{entry.pid}/limits", self.proc)
        except PermissionError:
            entry.nofile, entry.nproc = (None, None), None
            return
        except OSError as error:
            if error.errno not in _STARVED:
                raise
            self._starved = True
            return
        entry.nofile, entry.nproc = (None, None), None
        with suppress(Unreadable):
            entry.nofile = limits.nofile(text)
            entry.nproc = limits.nproc(text)

    def _size_counts(self) -> bool | None:
        """Whether the size of /proc/PID/fd is the number of descriptors (Linux 6.2), found by trying: three more
        must raise it by three. None when no descriptor is free to try with."""
        for _ in range(3):  # another thread may open or close a file meanwhile
            more: list[int] = []
            try:
                before = os.stat("self/fd", dir_fd=self.proc).st_size
                more.extend(os.dup(self.proc) for _ in range(3))
                if os.stat("self/fd", dir_fd=self.proc).st_size - before == 3:
                    return True
            except OSError as error:
                if error.errno in _STARVED:
                    return None
            finally:
                for descriptor in more:
                    with suppress(OSError):
                        os.close(descriptor)
        return False
