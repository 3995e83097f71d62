"""Descriptors of one process by what they refer to: readlink(2) of /proc/PID/fd, and never a stat of the target.

A target can be on a file server that does not answer; reading the link does not touch it.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.errnos import FORBIDDEN, NO_SUCH_PROCESS
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.model.process_facts import Descriptor
from sockmon.text import sanitize

LINKS_PER_STEP = 64
"""Links that are read in one step: about 0.2 ms."""
MAX_DESCRIPTORS = 65536
"""Descriptors of one process that are read at most: more would take a second."""
MAX_TARGET_CHARS = 512
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
_WATCH_KINDS = {
    "anon_inode:[eventpoll]": "eventpoll",
    "anon_inode:inotify": "inotify",
    "anon_inode:[fanotify]": "fanotify",
    "anon_inode:[io_uring]": "io_uring",
}
_FILES_BELOW_DEV = ("/dev/shm/", "/dev/hugepages/", "/dev/mqueue/")


class Descriptors(NamedTuple):
    """The descriptors of one process: how many of each kind, and the inodes of its sockets (one a descriptor)."""

    kinds: dict[str, int]
    inodes: array[int]
    read: int
    total: int
    """More than `read` if there are more than MAX_DESCRIPTORS."""


def kind(target: str) -> str:
    """Return the kind of a link target: socket, pipe, file (also directories), eventfd, eventpoll, inotify,
    fanotify, timerfd, signalfd, memfd, io_uring, userfaultfd, pidfd, bpf, namespace, device or other.

    A file can be named `socket:[1]`, but its path begins with a slash (or with "(unreachable)")."""
    if target.startswith(("/", "(unreachable)")):
        return _kind_of_path(target)
    family, _, rest = target.partition(":")
    if family == "socket":
        return "socket" if socket_inode(target) is not None else "other"
    if family == "anon_inode":
        name = rest.strip("[]")
        return "bpf" if name.startswith("bpf") else name if name in _ANONYMOUS else "other"
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
    """Return the inode in `socket:[4711]`; None for every other target."""
    number = target[len(_SOCKET) : -1]
    return int(number) if target.startswith(_SOCKET) and number.isdecimal() and target[-1] == "]" else None


@contextmanager
def open_fd_dir(pid: int, proc: int) -> Generator[int, None, None]:
    """Open /proc/PID/fd: the descriptor stays with this process, also if the pid is used again."""
    folder = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    try:
        yield folder
    finally:
        os.close(folder)


def read_socket_links(
    folder: int,
    numbers: Iterable[str | int],
    inodes: array[int],
    watching: list[tuple[int, str]] | None = None,
    kinds: Counter[str] | None = None,
) -> Incremental[int]:
    """Append the inodes of sockets among the descriptors `numbers`, and to `watching` number and kind of those
    that are epoll sets, inotify instances, fanotify groups or io_uring; count the others in `kinds`; return how
    many of `numbers` were open."""
    open_count = 0
    for step, number in enumerate(numbers, 1):
        if step % LINKS_PER_STEP == 0:
            yield
        try:
            target = os.readlink(str(number), dir_fd=folder)
        except FileNotFoundError:
            continue
        open_count += 1
        if target.startswith(_SOCKET) and (inode := socket_inode(target)) is not None:
            inodes.append(inode)
            continue
        if watching is not None and (family := _WATCH_KINDS.get(target)):
            watching.append((int(number), family))
        if kinds is not None:
            kinds[kind(target)] += 1
    return open_count


def read_descriptors(pid: int, proc: int) -> Incremental[Descriptors]:
    """Return the first MAX_DESCRIPTORS descriptors of a process, in steps; raise ReadError with the reason."""
    kinds: Counter[str] = Counter()
    inodes = array("Q")
    try:
        with open_fd_dir(pid, proc) as folder:
            numbers: Sequence[str] = os.listdir(folder)
            for step, number in enumerate(numbers[:MAX_DESCRIPTORS], 1):
                _count_link(folder, number, kinds, inodes)
                if step % LINKS_PER_STEP == 0:
                    yield
    except OSError as error:
        raise ReadError("descriptors", unreadable_reason(error, pid)) from error
    return Descriptors(dict(kinds.most_common()), inodes, min(len(numbers), MAX_DESCRIPTORS), len(numbers))


class DescriptorList(NamedTuple):
    """Some descriptors of one process by number, and the sums over all that were read."""

    rows: list[Descriptor]
    inodes: list[int]
    """Of each row; 0 for what is no socket."""
    kinds: Counter[str]
    matching: int
    """Descriptors of the wanted kind, of which `rows` are the first."""
    read: int
    total: int


def list_descriptors(pid: int, proc: int, wanted: str, limit: int) -> Incremental[DescriptorList]:
    """Return the first `limit` descriptors of the kind `wanted`, or of any kind if it is empty, in steps; raise
    ReadError with the reason."""
    rows: list[Descriptor] = []
    inodes: list[int] = []
    kinds: Counter[str] = Counter()
    try:
        with open_fd_dir(pid, proc) as folder:
            numbers = sorted(map(int, os.listdir(folder)))
            for step, number in enumerate(numbers[:MAX_DESCRIPTORS], 1):
                if step % LINKS_PER_STEP == 0:
                    yield
                try:
                    target = os.readlink(str(number), dir_fd=folder)
                except FileNotFoundError:  # closed since the listing
                    continue
                family = kind(target)
                kinds[family] += 1
                if family == (wanted or family) and len(rows) < limit:
                    rows.append(Descriptor(number, family, sanitize(os.fsencode(target), MAX_TARGET_CHARS)))
                    inodes.append(socket_inode(target) or 0)
    except OSError as error:
        raise ReadError("descriptors", unreadable_reason(error, pid)) from error
    matching = kinds[wanted] if wanted else kinds.total()
    return DescriptorList(rows, inodes, kinds, matching, min(len(numbers), MAX_DESCRIPTORS), len(numbers))


def _count_link(folder: int, number: str, kinds: Counter[str], inodes: array[int]) -> None:
    try:
        target = os.readlink(number, dir_fd=folder)
    except FileNotFoundError:  # closed since the listing
        return
    kinds[kind(target)] += 1
    if (inode := socket_inode(target)) is not None:
        inodes.append(inode)


def unreadable_reason(error: OSError, pid: int) -> str:
    """Return why descriptors cannot be read."""
    if error.errno in NO_SUCH_PROCESS:
        return proc_files.ended_reason(pid)
    if error.errno in FORBIDDEN:
        return proc_files.permission_reason("list its descriptors")
    return f"cannot read /proc/PID/fd: {error.strerror}"
