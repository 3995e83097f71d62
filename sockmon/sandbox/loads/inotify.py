"""inotify instances and watches, until the kernel refuses (inotify(7))."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from itertools import count

TREE = "/usr"
"""The watched directories are below it."""
_IN_MODIFY = 0x2
_libc = ctypes.CDLL(None, use_errno=True)
Add = Callable[[], int]
"""Adds one more; negative if the kernel refuses."""


def add_instance() -> int:
    """Return the descriptor of a new instance, which stays open; negative if the kernel refuses."""
    return int(_libc.inotify_init1(os.O_CLOEXEC))


def watch_adder() -> Add:
    """Return a function that adds a watch of another directory at each call, to one instance."""
    instance = add_instance()
    directories = (directory for directory, _, _ in os.walk(TREE))

    def add_watch() -> int:
        if (directory := next(directories, None)) is None:
            raise RuntimeError(f"{TREE} has too few directories for the watches")
        return int(_libc.inotify_add_watch(instance, os.fsencode(directory), _IN_MODIFY))

    return add_watch


def add_until_refused(add: Add) -> tuple[int, str]:
    """Return how many could be added, and the name of the error."""
    for added in count():
        if add() < 0:
            return added, errno.errorcode[ctypes.get_errno()]
    raise AssertionError
