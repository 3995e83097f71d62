"""The path of a cgroup by its id, which is the inode of its directory in the hierarchy of version 2."""

from __future__ import annotations

import os
from collections import deque

from sockmon.kernel.cgroups.mounts import mount_of, parse_mounts
from sockmon.kernel.netlink import Incremental
from sockmon.text import sanitize

MAX_GROUPS = 20_000
"""Cgroups that are looked at in one search."""


def find_path(wanted: int, likely: str = "", mountinfo: str = "/proc/self/mountinfo") -> Incremental[str]:
    """Return the path of the cgroup `wanted` as /proc/PID/cgroup writes it; empty if it is gone, or not below what
    is mounted here. `likely` is looked at first: the path of the socket's owner."""
    mount = _unified_mount(mountinfo)
    if mount is None:
        return ""
    root, point = mount
    if likely and (below := _below(likely, root)) is not None and _inode(os.path.join(point, below)) == wanted:
        return sanitize(likely)
    if _inode(point) == wanted:
        return sanitize(root)
    folders, seen = deque([""]), 0
    while folders and seen < MAX_GROUPS:
        folder = folders.popleft()
        try:
            with os.scandir(os.path.join(point, folder)) as entries:
                children = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # the group was removed meanwhile
            continue
        for entry in children:
            seen += 1
            path = os.path.join(folder, entry.name)
            if entry.inode() == wanted:
                return sanitize(f"{root.rstrip('/')}/{path}")
            folders.append(path)
        yield
    return ""


def _unified_mount(mountinfo: str) -> tuple[str, str] | None:
    """Return root and mount point of the hierarchy of version 2."""
    try:
        with open(mountinfo, "rb") as file:
            mount = mount_of("", parse_mounts(file.read()), {})
    except OSError:
        return None
    return (mount.root, mount.point) if mount and mount.unified else None


def _below(path: str, root: str) -> str | None:
    prefix = root.rstrip("/")
    return path[len(prefix) :].lstrip("/") if f"{path}/".startswith(f"{prefix}/") else None


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
