"""epoll watches, inotify and fanotify by user; a part of a Snapshot."""

from __future__ import annotations

import msgspec

from sockmon.model.processes import Owner


class UserWatches(msgspec.Struct, frozen=True):
    """The epoll watches, inotify instances and watches, and fanotify groups and marks of one real user."""

    uid: int
    user: str
    epoll: int
    """Descriptors registered in epoll sets: `tfd:` lines of /proc/PID/fdinfo."""
    inotify_instances: int
    inotify_watches: int
    estimated: bool
    """True if a process has an epoll set too large to list, for which one watch a descriptor is assumed."""
    owners: tuple[Owner, ...]
    """The processes with the most inotify instances and watches; `sockets` counts both together."""
    fanotify_groups: int = 0
    fanotify_marks: int = 0
    """Without those of groups with FAN_UNLIMITED_MARKS, which do not count."""
    fanotify_owners: tuple[Owner, ...] = ()
    """The same as `owners`, for fanotify."""


class Watches(msgspec.Struct, frozen=True):
    """Use of epoll, inotify and fanotify by user."""

    at: float
    users: tuple[UserWatches, ...]
    unseen: int
    """Processes whose descriptors may not be read."""
