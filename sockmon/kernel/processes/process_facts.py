"""What one process is: state, parents, executable, namespaces from /proc/PID, with what psutil reads.

What takes no lock of the process is read here: it is shown also of a process that does not answer. Executable and
working directory too, because psutil looks up their targets, which can be on a file server that does not answer,
and hides that a file is deleted.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from time import CLOCK_BOOTTIME, clock_gettime

from msgspec.structs import replace

from sockmon.kernel.errnos import FORBIDDEN, NO_SUCH_PROCESS
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.passwd import Users
from sockmon.kernel.processes.process_counters import CounterReader
from sockmon.model.process_facts import (
    DIRECTORY,
    EXECUTABLE,
    NAMESPACES,
    WCHAN,
    ProcessFacts,
    ProcessNamespace,
    Relative,
)
from sockmon.model.snapshot import Missing
from sockmon.text import sanitize

MAX_PARENTS = 64
MAX_THREADS = 1_000
"""Threads up to which the state of each is read: 7 ms."""
THREADS_PER_STEP = 64
PATH_LENGTH = 1_024
_STATUS_BYTES = 16_384
_NOT_WAITING = (b"", b"0")
_KINDS = ("net", "mnt", "pid", "user", "uts", "ipc", "cgroup", "time")


class FactsReader:
    """Reads the facts of one process at a time; `proc` is a descriptor of /proc. Not for use by two threads."""

    def __init__(self, proc: int, users: Users) -> None:
        self._proc = proc
        self._users = users
        self.counters = CounterReader()

    def close(self) -> None:
        """End the threads, as soon as their reads return."""
        self.counters.close()

    def read(self, pid: int, start: int, missing: list[Missing]) -> Incremental[ProcessFacts | None]:
        """Return the facts, None if the process has ended; what cannot be read is added to `missing`."""
        try:
            facts = self._read_files(pid, missing)
        except OSError as error:
            if error.errno not in NO_SUCH_PROCESS:
                missing.append(Missing("process", f"cannot read /proc/PID: {error.strerror}"))
            return None
        except ValueError:
            missing.append(Missing("process", "/proc/PID/stat is malformed"))
            return None
        states = yield from self._thread_states(pid)
        if facts.state in ("Z", "X"):
            return replace(facts, threads_by_state=states)
        counters = yield from self.counters.read(pid, start)
        missing += [Missing(reader, reason) for reader, reason in counters.reasons.items()]
        return replace(facts, threads_by_state=states, **counters.fields)

    def _read_files(self, pid: int, missing: list[Missing]) -> ProcessFacts:
        stat_text = proc_files.read(f"{pid}/stat", self._proc)
        stat = proc_files.parse_stat(stat_text)
        status = _status_fields(proc_files.read(f"{pid}/status", self._proc, _STATUS_BYTES))
        uids = [int(word) for word in status.get(b"Uid", b"").split()[:2]]
        facts = ProcessFacts(
            at=clock_gettime(CLOCK_BOOTTIME),
            state=stat.state,
            parents=self._parents(_parent(stat_text)),
            users=(self._users.name(uids[0]), self._users.name(uids[1])) if len(uids) == 2 else None,
            swapped=_kilobytes(status.get(b"VmSwap")),
            peak=_kilobytes(status.get(b"VmHWM")),
        )
        if stat.state in ("Z", "X"):
            return facts
        wchan = self._wchan(pid, stat.state)
        if wchan is None:
            missing.append(Missing(WCHAN, proc_files.permission_reason("see where it waits")))
        return replace(
            facts,
            wchan=wchan,
            executable=self._link(pid, "exe", EXECUTABLE, missing),
            directory=self._link(pid, "cwd", DIRECTORY, missing),
            namespaces=self._namespaces(pid, missing),
        )

    def _parents(self, pid: int) -> tuple[Relative, ...]:
        found: list[Relative] = []
        while pid > 0 and len(found) < MAX_PARENTS:
            try:
                text = proc_files.read(f"{pid}/stat", self._proc)
                stat = proc_files.parse_stat(text)
            except (OSError, ValueError):
                break
            found.append(Relative(pid, stat.start, stat.name))
            pid = _parent(text)
        return tuple(found)

    def _wchan(self, pid: int, state: str) -> str | None:
        """Return the function; empty if it does not wait, None if this user may not see it: the kernel then shows
        the same 0 as for a process that runs (fs/proc/base.c, proc_pid_wchan)."""
        try:
            found = proc_files.read(f"{pid}/wchan", self._proc)
        except OSError:
            return None
        if found in _NOT_WAITING:
            return None if state in ("S", "D") and not self._may_inspect(pid) else ""
        return sanitize(found)

    def _may_inspect(self, pid: int) -> bool:
        try:
            os.readlink(f"{pid}/exe", dir_fd=self._proc)
        except PermissionError:
            return False
        except OSError:
            pass
        return True

    def _link(self, pid: int, name: str, reader: str, missing: list[Missing]) -> str | None:
        try:
            target = os.readlink(f"{pid}/{name}", dir_fd=self._proc)
        except OSError as error:
            missing.append(Missing(reader, _file_reason(error, pid, f"read /proc/PID/{name}")))
            return None
        return sanitize(os.fsencode(target), PATH_LENGTH)

    def _namespaces(self, pid: int, missing: list[Missing]) -> tuple[ProcessNamespace, ...]:
        found, reason = [], ""
        for kind in _KINDS:
            try:
                inode = os.stat(f"{pid}/ns/{kind}", dir_fd=self._proc).st_ino
            except FileNotFoundError:  # this kernel does not have it
                continue
            except OSError as error:
                reason = reason or _file_reason(error, pid, "read /proc/PID/ns")
                continue
            found.append(ProcessNamespace(kind, inode, inode == self._own_namespace(kind)))
        if reason:
            missing.append(Missing(NAMESPACES, reason))
        return tuple(found)

    def _own_namespace(self, kind: str) -> int:
        with suppress(OSError):
            return os.stat(f"thread-self/ns/{kind}", dir_fd=self._proc).st_ino
        return 0

    def _thread_states(self, pid: int) -> Incremental[dict[str, int]]:
        """Return how many threads are in which state; empty if they are too many."""
        states: Counter[str] = Counter()
        with suppress(OSError):
            folder = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._proc)
            try:
                threads = os.listdir(folder)
                if len(threads) > MAX_THREADS:
                    return {}
                for step, thread in enumerate(threads, 1):
                    with suppress(OSError, ValueError):
                        states[proc_files.parse_stat(proc_files.read(f"{thread}/stat", folder)).state] += 1
                    if step % THREADS_PER_STEP == 0:
                        yield
            finally:
                os.close(folder)
        return dict(states.most_common())


def _file_reason(error: OSError, pid: int, what: str) -> str:
    if error.errno in FORBIDDEN:
        return proc_files.permission_reason(what)
    return proc_files.ended_reason(pid) if error.errno in NO_SUCH_PROCESS else str(error.strerror)


def _parent(stat: bytes) -> int:
    """Return the parent's pid in a /proc/PID/stat; 0 if it has none here."""
    return int(stat.rpartition(b") ")[2].split(None, 2)[1])


def _status_fields(text: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in text.split(b"\n"))
    return {name: value for name, _, value in lines}


def _kilobytes(value: bytes | None) -> int | None:
    """Return `  84 kB` in bytes; None for a kernel thread or a zombie, which have no such line."""
    words = value.split() if value else []
    return int(words[0]) * 1024 if words and words[0].isdigit() else None
