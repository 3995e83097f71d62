"""One process as a row of the table: /proc/PID/stat, status, cmdline, limits, fd and prlimit(2).

What a process *is* seldom changes, so it is kept in a CacheEntry and read again in turn. A process that cannot be
read is skipped and counted: in `hidden`, `malformed` or `faults`; `starved` is set if no file could be opened.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from contextlib import suppress

from sockmon.errors import ReadError
from sockmon.fault_log import FAULTS
from sockmon.kernel.errnos import NO_FREE_FILE, NO_SUCH_PROCESS
from sockmon.kernel.processes import proc_files, rlimits
from sockmon.kernel.processes.cpu_clock import clock_of
from sockmon.kernel.processes.passwd import Users
from sockmon.kernel.processes.proc_files import COMMAND_BYTES, PROC, Stat
from sockmon.kernel.processes.read_timeout import ReadHung, TimeoutReader
from sockmon.kernel.processes.user_namespace import Exemption, NamespaceReader
from sockmon.model.snapshot import Process

IDENTIFY_EVERY = 4
"""Refreshes between two reads of command line and user: both may change while name and start stay."""
_YOUNG_REFRESHES = 2  # in which a process is about to exec and to change its user


class CacheEntry:
    """What is remembered of one process."""

    __slots__ = (
        "can_prlimit", "clock", "command", "cpu_time", "exempt", "fd", "hangs", "identified", "nofile", "nproc",
        "pid", "refreshes", "row", "stat", "task", "uid", "user_namespace",
    )  # fmt: skip

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.clock = clock_of(pid)
        self.fd = f"{pid}/fd"
        self.task = f"{pid}/task"
        self.forget()

    def forget(self) -> None:
        """Forget the process: the pid is another one now, or it cannot be read."""
        self.stat: Stat | None = None
        self.row: Process | None = None
        self.uid = 0
        self.user_namespace = 0
        self.command = ""
        self.hangs = False
        self.can_prlimit = True
        self.nofile: tuple[int | None, int | None] = (None, None)
        self.nproc: int | None = None
        self.exempt = False
        self.refreshes = 0
        self.cpu_time: int | None = None
        """Nanoseconds that it has run, read before anything else; None: not known."""
        self.identified: int | None = None
        """The same when command line and user were last read."""

    @property
    def known_idle(self) -> bool:
        """Return whether it has not run since command line and user were last read."""
        return self.cpu_time is not None and self.cpu_time == self.identified


class ProcessReader:
    """Reads rows of processes below one /proc. Not for use by two threads."""

    def __init__(self, root: str, timeout_reader: TimeoutReader, users: Users) -> None:
        self.proc = proc_files.open_proc(root)
        self.size_counts_fds: bool | None = None
        """Whether the size of /proc/PID/fd is the number of descriptors (Linux 6.2); None: not yet known."""
        self.starved = False
        self.hidden = self.malformed = 0
        self.faults: Counter[str] = Counter()
        self._root = root
        self._live = root == PROC
        """Whether pids mean the same to the kernel as in this /proc."""
        self._timeout_reader = timeout_reader
        self._users = users
        self._exemption = Exemption(self.proc)
        self.namespaces = NamespaceReader(self.proc)

    def reset(self) -> None:
        """Forget what could not be read."""
        self.starved, self.hidden, self.malformed = False, 0, 0
        self.faults.clear()

    def read_or_skip(self, entry: CacheEntry, due: bool) -> Process | None:
        """Return the process now; None if it has ended, is a kernel thread, or cannot be read.

        `due`: read again what seldom changes."""
        try:
            return self._read_row(entry, due)
        except (FileNotFoundError, ProcessLookupError):
            entry.forget()
        except PermissionError:
            entry.forget()
            self.hidden += 1
        except (ValueError, IndexError):
            entry.forget()
            self.malformed += 1
        except Exception as error:
            # One process that cannot be read, EIO or ENOMEM for example, must not hide the others.
            entry.forget()
            self.faults[FAULTS.note("processes", error)] += 1
        return None

    def may_differ(self, entry: CacheEntry) -> bool:
        """Return whether a process has run since the last call, or has another RLIMIT_NOFILE than was read: two
        system calls that open nothing."""
        before = entry.cpu_time
        try:
            entry.cpu_time = time.clock_gettime_ns(entry.clock) if self._live else None
            if entry.cpu_time is None or entry.cpu_time != before:
                return True
            return entry.can_prlimit and resource.prlimit(entry.pid, resource.RLIMIT_NOFILE) != entry.nofile
        except OSError:
            entry.cpu_time = None
            return True

    def count_threads(self, entry: CacheEntry) -> int:
        """Return the number of threads; raise OSError."""
        # The link count of a directory, as if each thread's were one in it (fs/proc/base.c, proc_task_getattr).
        return os.stat(entry.task, dir_fd=self.proc).st_nlink - 2

    def _read_row(self, entry: CacheEntry, due: bool) -> Process | None:
        due = due or entry.stat is None
        if due:
            self._refresh_identity(entry)
        if entry.stat is None or entry.stat.kernel_thread:
            return None
        fds, row = self._count_fds(entry), entry.row
        soft, hard = self._read_nofile(entry) if entry.can_prlimit else entry.nofile
        if row is not None and row.fds == fds and row.soft == soft and row.hard == hard:
            return row
        if not due:
            self._refresh_identity(entry)
        entry.row = self._compose(entry, fds, soft, hard)
        return entry.row

    def _compose(self, entry: CacheEntry, fds: int | None, soft: int | None, hard: int | None) -> Process | None:
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
            nproc=entry.nproc if self._exemption.has_name(entry.uid) else None,
            exempt=entry.exempt,
            user_namespace=entry.user_namespace,
        )

    def _refresh_identity(self, entry: CacheEntry) -> None:
        """Check that it is still the same process, and read what changes slowly."""
        try:
            stat = proc_files.parse_stat(proc_files.read(f"{entry.pid}/stat", self.proc))
            old = entry.stat
            if old is not None and old.start != stat.start:
                entry.forget()
                old = None
            if stat != old:
                entry.row = None
            renewed = old is None or old.name != stat.name
            in_turn = entry.refreshes <= _YOUNG_REFRESHES or entry.refreshes % IDENTIFY_EVERY == 0
            if renewed or (in_turn and not entry.known_idle):
                self._identify(entry, stat)
                entry.identified = entry.cpu_time
            if not stat.kernel_thread:
                self.refresh_limits(entry)
        except OSError as error:
            if error.errno not in NO_FREE_FILE:
                raise
            self.starved = True
            return
        entry.stat = stat
        entry.refreshes += 1

    def _identify(self, entry: CacheEntry, stat: Stat) -> None:
        """Read user and user namespace, capabilities and command line."""
        entry.can_prlimit = self._live
        if stat.kernel_thread:
            return
        status = proc_files.read(f"{entry.pid}/status", self.proc)
        entry.uid = proc_files.parse_status(status).uid
        capabilities = proc_files.parse_capabilities(status)
        entry.user_namespace = self.namespaces.number(entry.pid)
        entry.exempt = self._exemption.applies(entry.pid, entry.uid, capabilities)
        entry.command = self._read_command(entry, stat.name)
        entry.row = None

    def _read_command(self, entry: CacheEntry, name: str) -> str:
        """Return the command line; the name and a mark if reading it hangs, see `read_timeout`."""
        path = f"{entry.pid}/cmdline"
        if entry.hangs:
            return f"[{name}] (blocked)"
        try:
            raw = self._timeout_reader.call(lambda: proc_files.read(path, self.proc, COMMAND_BYTES))
        except ReadHung:
            entry.hangs = True
            return f"[{name}] (blocked)"
        except ReadError:
            return entry.command or f"[{name}]"
        except OSError as error:
            self._tolerate(error)
            return entry.command or f"[{name}]"
        return proc_files.parse_command(raw, name)

    def _count_fds(self, entry: CacheEntry) -> int | None:
        """Return the open descriptors; None if they may not be counted."""
        if self.size_counts_fds is None:
            self.size_counts_fds = self._test_size_counts_fds()
        try:
            if not self.size_counts_fds:
                return len(os.listdir(f"{self._root}/{entry.fd}"))
            fds = os.stat(entry.fd, dir_fd=self.proc).st_size
        except PermissionError:
            return None
        except OSError as error:
            self._tolerate(error)
            return None
        if fds == 0 and entry.stat is not None and entry.stat.threads > 1:
            return self._count_fds_by_thread(entry)
        return fds

    def _tolerate(self, error: OSError) -> None:
        """Note that one file of a process cannot be read; raise `error` if the process has ended or is hidden."""
        if error.errno in NO_FREE_FILE:
            self.starved = True
        elif error.errno in NO_SUCH_PROCESS or isinstance(error, PermissionError):
            raise error
        else:
            self.faults[FAULTS.note("processes", error)] += 1

    def _count_fds_by_thread(self, entry: CacheEntry) -> int | None:
        """Return the descriptors of a process whose first thread has exited: the others still have the table."""
        try:
            for thread in os.listdir(f"{self._root}/{entry.pid}/task"):
                if fds := os.stat(f"{entry.pid}/task/{thread}/fd", dir_fd=self.proc).st_size:
                    return fds
        except OSError:
            return None
        return 0

    def _read_nofile(self, entry: CacheEntry) -> tuple[int | None, int | None]:
        """Return RLIMIT_NOFILE; prlimit(2) of another user's process needs CAP_SYS_RESOURCE, the file does not."""
        try:
            entry.nofile = resource.prlimit(entry.pid, resource.RLIMIT_NOFILE)
        except PermissionError:
            entry.can_prlimit = False
            self._read_limits_file(entry)
        return entry.nofile

    def refresh_limits(self, entry: CacheEntry) -> None:
        """Read RLIMIT_NPROC, which seldom changes; and RLIMIT_NOFILE if it takes the file anyway."""
        before = entry.nproc
        if entry.can_prlimit:
            try:
                entry.nproc = resource.prlimit(entry.pid, resource.RLIMIT_NPROC)[0]
            except PermissionError:
                entry.can_prlimit = False
        if not entry.can_prlimit:
            self._read_limits_file(entry)
        if entry.nproc != before:
            entry.row = None

    def _read_limits_file(self, entry: CacheEntry) -> None:
        try:
            text = proc_files.read(f"{entry.pid}/limits", self.proc)
        except PermissionError:
            entry.nofile, entry.nproc = (None, None), None
            return
        except OSError as error:
            self._tolerate(error)
            return
        entry.nofile, entry.nproc = (None, None), None
        with suppress(ReadError):
            entry.nofile = rlimits.nofile(text)
            entry.nproc = rlimits.nproc(text)

    def _test_size_counts_fds(self) -> bool | None:
        """Return whether three more descriptors raise the size of /proc/self/fd by three; None if no descriptor is
        free to test it."""
        for _ in range(3):  # another thread may open or close a file meanwhile
            more: list[int] = []
            try:
                before = os.stat("self/fd", dir_fd=self.proc).st_size
                more.extend(os.dup(self.proc) for _ in range(3))
                if os.stat("self/fd", dir_fd=self.proc).st_size - before == 3:
                    return True
            except OSError as error:
                if error.errno in NO_FREE_FILE:
                    return None
            finally:
                for descriptor in more:
                    with suppress(OSError):
                        os.close(descriptor)
        return False
