"""The small files of one process: /proc/PID/stat, status, cmdline, cgroup (proc_pid_stat(5) and its neighbours).

Paths are relative to a held descriptor of /proc: one path lookup less, and no race with a new mount.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from sockmon.errors import Unreadable
from sockmon.model.clean import clean

PROC = "/proc"
NAME_LENGTH = 64
"""Characters of a comm that are kept; the kernel's own limit is 15 bytes, or 63 for a kernel worker."""
COMMAND_BYTES = 4096
"""Bytes of a command line that are read: argv can be megabytes long."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h


class Stat(NamedTuple):
    """What /proc/PID/stat says; `rss` in bytes, `start` in clock ticks since boot."""

    name: str
    state: str
    kernel_thread: bool
    threads: int
    start: int
    rss: int


class Status(NamedTuple):
    """What /proc/PID/status says: the real user, and the slots of the descriptor table (not those in use)."""

    uid: int
    fd_size: int | None


def open_proc(root: str = PROC) -> int:
    """An O_PATH descriptor of /proc; Unreadable where it is not mounted or belongs to another pid namespace."""
    try:
        proc = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable("processes", f"cannot open {root}: {error.strerror}") from error
    if root != PROC:
        return proc
    try:
        own = os.readlink("self", dir_fd=proc)
    except OSError as error:
        os.close(proc)
        raise Unreadable("processes", "/proc is not mounted") from error
    if own != str(os.getpid()):
        os.close(proc)
        raise Unreadable("processes", "/proc belongs to another pid namespace")
    return proc


def read(path: str, proc: int, size: int = 4096) -> bytes:
    """Up to `size` bytes of `path` below the descriptor `proc`; OSError as the kernel gives it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def forbidden(what: str) -> str:
    """Why the kernel refused to `what`, for a person: ptrace(2), access mode checking."""
    if os.geteuid() == 0:
        return f"may not {what}: it has capabilities or a user namespace that sockmon has not"
    return f"needs root (or its user) to {what}"


def parse_stat(text: bytes) -> Stat:
    """/proc/PID/stat; the name may itself hold `)` and newlines, so it ends at the last `)`. ValueError when
    it is not what fs/proc/array.c writes."""
    head, _, tail = text.rpartition(b") ")
    _, opened, name = head.partition(b" (")
    fields = tail.split(None, 22)
    if not opened or len(fields) < 22:
        raise ValueError("not a line of /proc/PID/stat")
    flags, threads, start, pages = int(fields[6]), int(fields[17]), int(fields[19]), int(fields[21])
    if min(threads, start, pages) < 0 or max(threads, start, pages) >= 1 << 63:
        raise ValueError("numbers out of range in /proc/PID/stat")
    return Stat(
        clean(name, NAME_LENGTH),
        fields[0].decode("ascii"),
        bool(flags & _KERNEL_THREAD),
        threads,
        start,
        pages * _PAGE,
    )


def parse_status(text: bytes) -> Status:
    """`Uid:` and `FDSize:` of /proc/PID/status; ValueError where there is no user.

    The real user is the one that RLIMIT_NPROC counts; the owner of /proc/PID would be root for every process
    that changed its user (it is not dumpable)."""
    uid = fd_size = None
    for line in text.split(b"\n"):
        if line.startswith(b"Uid:") and uid is None:
            uid = int(line.split()[1])
        elif line.startswith(b"FDSize:"):
            fd_size = int(line.split()[1])
    if uid is None:
        raise ValueError("no Uid: in /proc/PID/status")
    return Status(uid, fd_size)


def parse_capabilities(text: bytes) -> int:
    """`CapEff:` of /proc/PID/status, a bit for each capability; none where there is no such line."""
    _, found, rest = text.partition(b"\nCapEff:")
    return int(rest.partition(b"\n")[0], 16) if found else 0


def parse_command(raw: bytes, name: str) -> str:
    """A command line in one line, or the name in brackets where there is none (zombies)."""
    text = raw.rstrip(b"\0 ").replace(b"\0", b" ")
    return clean(text) if text.strip() else f"[{name}]"


def parse_cgroup(text: bytes) -> str:
    """The path in /proc/PID/cgroup: of the unified hierarchy, else of systemd's or memory's."""
    paths: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        number, _, rest = line.partition(b":")
        controllers, colon, path = rest.partition(b":")
        if colon and number.isdigit():
            paths.update(dict.fromkeys(controllers.split(b","), path))
    # A hybrid host has an empty 0:: beside the hierarchies that limit anything.
    found = [paths[key] for key in (b"", b"name=systemd", b"memory", b"pids") if key in paths]
    best = next((path for path in found if path != b"/"), found[0] if found else b"")
    return clean(best, 1024)
