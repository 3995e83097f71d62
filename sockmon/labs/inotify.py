"""Watchers at a limit of their user, whose errors speak of files and of disks."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

from sockmon.labs.crew import FOREVER
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.stage import Stage

MOST_INSTANCES, MOST_WATCHES = 32, 128
TREE = "/usr"
_IN_MODIFY = 0x2
_libc = ctypes.CDLL(None, use_errno=True)


def _log_shipper() -> Iterator[float]:
    """An instance for each log that it follows, until the kernel refuses."""
    while _libc.inotify_init1(os.O_CLOEXEC) >= 0:
        pass
    _refused_with(errno.EMFILE)
    yield FOREVER


def _dev_server() -> Iterator[float]:
    """One instance that watches every directory of a tree, until the kernel refuses."""
    instance = _libc.inotify_init1(os.O_CLOEXEC)
    for directory, _, _ in os.walk(TREE):
        if _libc.inotify_add_watch(instance, os.fsencode(directory), _IN_MODIFY) < 0:
            _refused_with(errno.ENOSPC)
            yield FOREVER
    raise RuntimeError(f"{TREE} has fewer than {MOST_WATCHES} directories")


def _refused_with(code: int) -> None:
    if ctypes.get_errno() != code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _build_instances(stage: Stage) -> None:
    stage.set_sysctl("user.max_inotify_instances", MOST_INSTANCES)
    stage.start("log-shipper", _log_shipper)


def _build_watches(stage: Stage) -> None:
    stage.set_sysctl("user.max_inotify_watches", MOST_WATCHES)
    stage.start("dev-server", _dev_server)


INSTANCES = Lab(
    name="inotify-instances",
    ceiling="inotify-instances",
    title="too many open files, with forty open",
    does="A log shipper opens an inotify instance for each log, and its user may have 32 of them.",
    look="inotify instances at 32/32: EMFILE, with fewer than fifty descriptors open",
    proves="EMFILE of inotify_init() is told from a process at its limit of descriptors",
    build=_build_instances,
    first=Expect(
        "inotify-instances",
        r"\(0\)$",
        (MOST_INSTANCES, MOST_INSTANCES),
        (MOST_INSTANCES, MOST_INSTANCES),
        ("hit",),
        "sysctl",
        "user.max_inotify_instances",
    ),
    never=("process-fds", "inotify-watches", "epoll-watches"),
)

WATCHES = Lab(
    name="inotify-watches",
    ceiling="inotify-watches",
    title="no space left on device, with room on every disk",
    does="A development server watches every directory below /usr, and its user may have 128 watches.",
    look="inotify watches at 128/128: ENOSPC, and df shows room",
    proves="ENOSPC of inotify_add_watch() is named as what it is, with the process that holds the watches",
    build=_build_watches,
    first=Expect(
        "inotify-watches",
        r"\(0\)$",
        (MOST_WATCHES, MOST_WATCHES),
        (MOST_WATCHES, MOST_WATCHES),
        ("hit",),
        "sysctl",
        "user.max_inotify_watches",
    ),
    never=("process-fds", "inotify-instances", "epoll-watches"),
)
