"""The small files of one process: /proc/PID/stat, status, cmdline, cgroup (proc_pid_stat(5) and its neighbours).

Paths are relative to an open descriptor of /proc: one path lookup less, and no race with a new mount.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.integers import parse_integer
from sockmon.text import sanitize

PROC = "/proc"
NAME_LENGTH = 64
"""Characters of a comm that are kept; the kernel's limit is 15 bytes, or 63 for a kernel worker."""
COMMAND_BYTES = 4096
"""Bytes of a command line that are read: argv can be megabytes long."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENDED_STATES = ("Z", "X")
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h


class Stat(NamedTuple):
    """The content of /proc/PID/stat; `rss` in bytes, `start` in clock ticks since boot."""

    name: str
    state: str
    kernel_thread: bool
    threads: int
    start: int
    rss: int


class Status(NamedTuple):
    """The content of /proc/PID/status: the real user, and the slots of the descriptor table (not those in use)."""

    uid: int
    fd_size: int | None


def open_proc(root: str = PROC) -> int:
    """Return an O_PATH descriptor of /proc; raise ReadError if it is not mounted or belongs to another pid
    namespace."""
    try:
        proc = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ReadError("processes", f"cannot open {root}: {error.strerror}") from error
    if root != PROC:
        return proc
    try:
        own = os.readlink("self", dir_fd=proc)
    except OSError as error:
        os.close(proc)
        raise ReadError("processes", "/proc is not mounted") from error
    if own != str(os.getpid()):
        os.close(proc)
        raise ReadError("processes", "/proc belongs to another pid namespace")
    return proc


def read(path: str, proc: int, size: int = 4096) -> bytes:
    """Return up to `size` bytes of `path` relative to the descriptor `proc`; raise OSError as the kernel does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def permission_reason(what: str) -> str:
    """Return why the kernel refuses to `what`: ptrace(2), access mode checking."""
    if os.geteuid() == 0:
        return f"may not {what}: the process has capabilities or a user namespace that sockmon does not have"
    return f"needs root (or its user) to {what}"


def ended_reason(pid: int) -> str:
    """Return why /proc does not have a process: it has ended, or it is hidden."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return "is hidden: /proc is mounted with hidepid"
    except (OSError, OverflowError):
        pass
    return "the process has ended"


def parse_stat(text: bytes) -> Stat:
    """Return the fields of /proc/PID/stat; raise ValueError if it is not what fs/proc/array.c writes.

    The name may contain `)` and newlines, so it ends at the last `)`."""
    head, _, tail = text.rpartition(b") ")
    _, opened, name = head.partition(b" (")
    fields = tail.split(None, 22)
    if not opened or len(fields) < 22:
        raise ValueError("not a line of /proc/PID/stat")
    flags, threads, start, pages = int(fields[6]), int(fields[17]), int(fields[19]), int(fields[21])
    if min(threads, start, pages) < 0 or max(threads, start, pages * _PAGE) >= 1 << 63:
        raise ValueError("numbers out of range in /proc/PID/stat")
    return Stat(
        sanitize(name, NAME_LENGTH),
        fields[0].decode("ascii"),
        bool(flags & _KERNEL_THREAD),
        threads,
        start,
        pages * _PAGE,
    )


def start_of_living(text: bytes) -> int | None:
    """Return the start time in a /proc/PID/stat; None if the process is a zombie, or the text is malformed."""
    try:
        stat = parse_stat(text)
    except ValueError:
        return None
    return None if stat.state in _ENDED_STATES else stat.start


def parse_status(text: bytes) -> Status:
    """Return `Uid:` and `FDSize:` of /proc/PID/status; raise ValueError if there is no user.

    The real user is the one that RLIMIT_NPROC counts; the owner of /proc/PID would be root for every process that
    changed its user (it is not dumpable)."""
    uid = fd_size = None
    for line in text.split(b"\n"):
        if line.startswith(b"Uid:") and uid is None:
            uid = parse_integer(line.split()[1])
        elif line.startswith(b"FDSize:"):
            fd_size = parse_integer(line.split()[1])
    if uid is None:
        raise ValueError("no Uid: in /proc/PID/status")
    return Status(uid, fd_size)


def parse_capabilities(text: bytes) -> int:
    """Return `CapEff:` of /proc/PID/status, a bit for each capability; 0 if there is no such line."""
    _, found, rest = text.partition(b"\nCapEff:")
    return int(rest.partition(b"\n")[0], 16) if found else 0


def parse_command(raw: bytes, name: str) -> str:
    """Return a command line in one line, or the name in brackets if it is empty (zombies)."""
    text = raw.rstrip(b"\0 ").replace(b"\0", b" ")
    return sanitize(text) if text.strip() else f"[{name}]"


def parse_cgroup_paths(text: bytes) -> dict[str, str]:
    """Return the paths in /proc/PID/cgroup by controller of v1, that of v2 by the empty name (cgroups(7))."""
    found = {}
    for line in os.fsdecode(text).split("\n"):
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and path.startswith("/"):
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def main_cgroup(paths: Mapping[str, str]) -> str:
    """Return the path that names the service: of the unified hierarchy, else of systemd's or memory's."""
    # On a hybrid host the unified hierarchy is empty next to those that limit anything.
    found = [paths[key] for key in ("", "name=systemd", "memory", "pids") if key in paths]
    best = next((path for path in found if path != "/"), found[0] if found else "")
    return sanitize(os.fsencode(best), 1024)
