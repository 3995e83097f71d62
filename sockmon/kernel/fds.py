"""Descriptors of one process by what they point to: readlink(2) of /proc/PID/fd, and never a stat of the target.

A target can lie on a file server that is gone; reading the link does not touch it.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sockmon.errors import Unreadable
from sockmon.kernel import process_files
from sockmon.kernel.netlink import Steps

LINKS = 64
"""Links that are read in one step: about 0.2 ms."""
MOST = 65536
"""Descriptors of one process that are looked at: more would take a second."""
_SOCKET = "socket:["
_NAMED = {"pipe": "pipe", "pidfd": "pidfd"}
_ANONYMOUS = (
    "eventfd",
    "eventpoll",
    "inotify",
    "fanotify",
    "timerfd",
    "signalfd",
    "io_uring",
    "userfaultfd",
    "pidfd",
)
_WATCHING = {"anon_inode:[eventpoll]": "eventpoll", "anon_inode:inotify": "inotify"}
_FILES_BELOW_DEV = ("/dev/shm/", "/dev/hugepages/", "/dev/mqueue/")


class Descriptors(NamedTuple):
    """The descriptors of one process: how many of each kind, and the inodes of its sockets (one a descriptor)."""

    kinds: dict[str, int]
    inodes: array[int]
    seen: int
    total: int
    """More than `seen` when there are more than MOST."""


def kind(target: str) -> str:
    """What a link points to: socket, pipe, file (also directories), eventfd, eventpoll, inotify, fanotify,
    timerfd, signalfd, memfd, io_uring, userfaultfd, pidfd, bpf, namespace, device or other.

    A file can be named `socket:[1]`, but its path begins with a slash (or says that it is unreachable)."""
    if target.startswith(("/", "(unreachable)")):
        return _kind_of_path(target)
    family, _, rest = target.partition(":")
    if family == "socket":
        return "socket" if socket_inode(target) is not None else "other"
    if family == "anon_inode":
        word = rest.strip("[]")
        return "bpf" if word.startswith("bpf") else word if word in _ANONYMOUS else "other"
    if family in ("net", "mnt", "pid", "user", "uts", "ipc", "cgroup", "time"):
        return "namespace"
    return _NAMED.get(family, "other")


def _kind_of_path(target: str) -> str:
    if target.startswith("/memfd:") and target.endswith(" (deleted)"):
        return "memfd"
    if target.startswith("/dev/") and not target.startswith(_FILES_BELOW_DEV):
        return "device"
    return "file"


def socket_inode(target: str) -> int | None:
    """The inode in `socket:[4711]`, None for every other target."""
    number = target[len(_SOCKET) : -1]
    return int(number) if target.startswith(_SOCKET) and number.isdecimal() and target[-1] == "]" else None


@contextmanager
def opened(pid: int, proc: int) -> Generator[int, None, None]:
    """A descriptor of /proc/PID/fd: it stays with this process, also when the pid is used again."""
    folder = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    try:
        yield folder
    finally:
        os.close(folder)


def sockets(
    folder: int,
    numbers: Iterable[str | int],
    inodes: array[int],
    watching: list[tuple[int, str]] | None = None,
) -> Steps[int]:
    """Append the inodes of sockets among the descriptors `numbers`, and to `watching` the number and kind of those
    that are epoll sets or inotify instances; how many of `numbers` were open."""
    seen = 0
    for step, number in enumerate(numbers, 1):
        if step % LINKS == 0:
            yield
        try:
            target = os.readlink(str(number), dir_fd=folder)
        except FileNotFoundError:
            continue
        seen += 1
        if target.startswith(_SOCKET) and (inode := socket_inode(target)) is not None:
            inodes.append(inode)
        elif watching is not None and (family := _WATCHING.get(target)):
            watching.append((int(number), family))
    return seen


def look(pid: int, proc: int) -> Steps[Descriptors]:
    """All descriptors of a process, the first MOST of them, in steps; Unreadable with the reason."""
    kinds: Counter[str] = Counter()
    inodes = array("Q")
    try:
        with opened(pid, proc) as folder:
            numbers: Sequence[str] = os.listdir(folder)
            for step, number in enumerate(numbers[:MOST], 1):
                _take(folder, number, kinds, inodes)
                if step % LINKS == 0:
                    yield
    except OSError as error:
        raise Unreadable("descriptors", reason(error)) from error
    return Descriptors(dict(kinds.most_common()), inodes, min(len(numbers), MOST), len(numbers))


def _take(folder: int, number: str, kinds: Counter[str], inodes: array[int]) -> None:
    try:
        target = os.readlink(number, dir_fd=folder)
    except FileNotFoundError:  # closed since the listing
        return
    kinds[kind(target)] += 1
    if (inode := socket_inode(target)) is not None:
        inodes.append(inode)


def reason(error: OSError) -> str:
    """Why descriptors cannot be seen, for a person."""
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return "the process has ended"
    if error.errno in (errno.EACCES, errno.EPERM):
        return process_files.forbidden("list its descriptors")
    return f"cannot read /proc/PID/fd: {error.strerror}"
