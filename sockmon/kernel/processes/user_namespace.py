"""Who is exempt from RLIMIT_NPROC, which user a user namespace shows, and who created it: /proc/PID/uid_map and
ns/user, user_namespaces(7), ioctl_ns(2).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.processes import proc_files
from sockmon.model.snapshot import Process, UserNamespace
from sockmon.model.user_namespace import UNREADABLE, charged

# CAP_IPC_LOCK, CAP_SYS_ADMIN and CAP_SYS_RESOURCE, include/uapi/linux/capability.h
_LOCK, _ADMIN, _RESOURCE = 14, 21, 24
_EXEMPTING = 1 << _ADMIN | 1 << _RESOURCE
_EVERYONE = (0, 0, 0xFFFFFFFF)

_NO_ARGUMENT = 0x20000000 if os.uname().machine.startswith(("alpha", "mips", "ppc", "sparc")) else 0
_GET_PARENT, _GET_OWNER_UID = _NO_ARGUMENT | 0xB702, _NO_ARGUMENT | 0xB704  # include/uapi/linux/nsfs.h

UidMap = tuple[tuple[int, int, int], ...]
"""(first uid inside, first uid outside, how many)."""


def parse_uid_map(text: bytes) -> UidMap:
    """Return the lines of a uid_map; raise ValueError if it is malformed."""
    found = []
    for line in text.splitlines():
        inside, outside, length = map(int, line.split())
        found.append((inside, outside, length))
    return tuple(found)


def uid_outside(uid_map: UidMap, uid: int) -> int | None:
    """Return the user that `uid` is outside of the namespace; None if it is not mapped."""
    for inside, first, length in uid_map:
        if inside <= uid < inside + length:
            return first + uid - inside
    return None


class Exemption:
    """Decides whether RLIMIT_NPROC applies to a process, as far as it can be seen from here.

    copy_process() (kernel/fork.c) exempts the host's uid 0, in any user namespace, and processes with
    CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the initial one. So if we are in a user namespace of our own, capabilities
    that we see count for nothing, and its root is taken for the host's if it is uid 0 one level up."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._own = _read_map("self", proc)
        self.initial = self._own in ((), (_EVERYONE,))
        """Whether we seem to be in the initial user namespace: every user is shown as it is."""

    def has_name(self, uid: int) -> bool:
        """Return False for the overflow uid, which stands for all users that are not mapped in our namespace."""
        return self.initial or uid_outside(self._own, uid) is not None

    def applies(self, pid: int, uid: int, capabilities: int) -> bool:
        """Return whether a process is exempt from RLIMIT_NPROC."""
        if (uid if self.initial else uid_outside(self._own, uid)) == 0:
            return True
        return self._has_one_of(_EXEMPTING, pid, capabilities)

    def may_lock(self, pid: int, capabilities: int) -> bool:
        """Return whether a process is exempt from RLIMIT_MEMLOCK: CAP_IPC_LOCK in the initial user namespace
        (can_do_mlock() of mm/mlock.c, io_uring_create())."""
        return self._has_one_of(1 << _LOCK, pid, capabilities)

    def _has_one_of(self, wanted: int, pid: int, capabilities: int) -> bool:
        """Return whether a process has one of these capabilities in the initial user namespace."""
        if not self.initial or not capabilities & wanted:
            return False
        # A new namespace has no map until another process writes it; without user namespaces we have none either.
        found = _read_map(str(pid), self._proc)
        return found == (_EVERYONE,) or found == self._own == ()


class NamespaceReader:
    """Returns the user namespaces of processes, and remembers who created them. Not for use by two threads."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._known: dict[int, UserNamespace] = {}
        self._own, self._own_map = 0, _read_map("self", proc)
        with suppress(OSError):
            self._own = os.stat("self/ns/user", dir_fd=proc).st_ino

    def number(self, pid: int) -> int:
        """Return the inode of a process's namespace, 0 for our own, UNREADABLE if it is unknown; raise OSError if
        no file can be opened."""
        path = f"{pid}/ns/user"
        try:
            inode = os.stat(path, dir_fd=self._proc).st_ino
        except PermissionError:
            # Everyone may read the map, but two namespaces may have the same one.
            return 0 if _read_map(str(pid), self._proc) == self._own_map else UNREADABLE
        except OSError:
            return 0  # a kernel without user namespaces, or the process has ended
        if inode == self._own:
            return 0
        if inode not in self._known:
            self._describe(path)
        return inode if inode in self._known else UNREADABLE

    def in_use(self, rows: Iterable[Process]) -> tuple[UserNamespace, ...]:
        """Return the namespaces of `rows` and their ancestors, and forget all others: an inode is used again."""
        used = {row.user_namespace for row in rows}
        used = {inode for first in used for inode, _ in charged(self._known, first, 0)}
        self._known = {inode: known for inode, known in self._known.items() if inode in used}
        return tuple(self._known.values())

    def _describe(self, path: str) -> None:
        """Read the namespace of an open file and its ancestors up to our own."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError as error:
            if error.errno in NO_FREE_FILE:
                raise
            return
        while descriptor >= 0:
            try:
                inode, owner, above = os.fstat(descriptor).st_ino, _owner_of(descriptor), _parent_of(descriptor)
            finally:
                os.close(descriptor)
            parent = os.fstat(above).st_ino if above >= 0 else None
            self._known[inode] = UserNamespace(inode, 0 if parent == self._own else parent, owner)
            if parent == self._own or parent in self._known:
                os.close(above)
                return
            descriptor = above


def _owner_of(descriptor: int) -> int | None:
    """Return the user who created a namespace, as seen from ours; None if the kernel does not report it."""
    try:
        return int(struct.unpack("=I", fcntl.ioctl(descriptor, _GET_OWNER_UID, bytes(4)))[0])
    except OSError:
        return None


def _parent_of(descriptor: int) -> int:
    """Return a descriptor of the namespace above; -1 if that is not ours or below it; raise OSError if no file can
    be opened."""
    try:
        return fcntl.ioctl(descriptor, _GET_PARENT)
    except OSError as error:
        if error.errno in NO_FREE_FILE:
            raise
        return -1


def _read_map(process: str, proc: int) -> UidMap:
    """Return a uid_map; empty if the kernel has no user namespaces, or does not show it."""
    try:
        return parse_uid_map(proc_files.read(f"{process}/uid_map", proc))
    except (OSError, ValueError):
        return ()
