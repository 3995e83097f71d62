"""fanotify groups and marks of an ordinary user, until the kernel refuses (fanotify(7), since Linux 5.13)."""

from __future__ import annotations

import ctypes
import errno
import os

from sockmon.errors import LabUnavailable
from sockmon.sandbox.loads.inotify import TREE, Add

_FAN_CLOEXEC, _FAN_REPORT_FID = 0x1, 0x200
_FAN_MARK_ADD, _FAN_MODIFY = 0x1, 0x2
_AT_FDCWD = -100
_NO_FILE_HANDLES = (errno.ENODEV, errno.EOPNOTSUPP, errno.EXDEV)
_libc = ctypes.CDLL(None, use_errno=True)


def add_group() -> int:
    """Return the descriptor of a new group, which stays open; negative if the kernel refuses."""
    return int(_libc.fanotify_init(_FAN_CLOEXEC | _FAN_REPORT_FID, os.O_RDONLY))


def mark_adder() -> Add:
    """Return a function that marks another directory at each call, in one group."""
    group = add_group()
    directories = (directory for directory, _, _ in os.walk(TREE))

    def add_mark() -> int:
        if (directory := next(directories, None)) is None:
            raise RuntimeError(f"{TREE} has too few directories for the marks")
        return _mark(group, directory)

    return add_mark


def require_marks() -> None:
    """Raise LabUnavailable if an ordinary user cannot mark directories here."""
    group = add_group()
    if group < 0:
        raise LabUnavailable(f"fanotify_init() is refused: {os.strerror(ctypes.get_errno())}")
    code = ctypes.get_errno() if _mark(group, TREE) < 0 else 0
    os.close(group)
    if code:
        reason = "its file system has no file handles" if code in _NO_FILE_HANDLES else os.strerror(code)
        raise LabUnavailable(f"{TREE} cannot be marked: {reason}")


def _mark(group: int, directory: str) -> int:
    mask = ctypes.c_uint64(_FAN_MODIFY)
    return int(_libc.fanotify_mark(group, _FAN_MARK_ADD, mask, _AT_FDCWD, os.fsencode(directory)))
