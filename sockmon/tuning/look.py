"""Sysctls as they are now, and which of them may be written here; /proc/sys, kernel/sysctl.c."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing, suppress

from sockmon.errors import Absent, Unreadable
from sockmon.kernel import sysctl
from sockmon.kernel.netns import Door, open_here, open_other
from sockmon.model.snapshot import Snapshot
from sockmon.tuning.here import RANGE, RESERVED, UNPRIVILEGED, Here

ALWAYS = (RANGE, RESERVED, UNPRIVILEGED)
"""Read in any case: they decide how many ports there are."""
_WRITE = 0o222
_LONGEST = 64 * 1024


def look(keys: Iterable[str], netns: str | None = None, snapshot: Snapshot | None = None) -> Here:
    """The values of `keys` in the namespace `netns`, or in our own; those that no namespace has are the host's.

    Needs no privilege. Raises NoSuchNamespace; a key that has no value, or takes none, is in `refused`."""
    wanted = list(dict.fromkeys([*ALWAYS, *keys]))
    values: dict[str, str] = {}
    refused: dict[str, str] = {}
    paths = tuple(sysctl.path(key) for key in wanted)
    with closing(open_other(netns, paths) if netns else open_here()) as door, closing(open_here()) as own:
        for key in wanted:
            at = door if key.startswith("net.") else own
            try:
                values[key] = sysctl.read(at, key)
                reason = _fixed(at, key)
            except Absent:
                reason = "this kernel does not have it, or this network namespace does not show it"
            except Unreadable as error:
                reason = error.message
            if reason:
                refused[key] = reason
        inode = door.inode
    boot_id = snapshot.host.boot_id if snapshot else ""
    return Here(
        values=values,
        refused=refused,
        netns=inode,
        boot_id=boot_id or _boot_id(),
        door=netns or "",
        memory=_memory(),
        snapshot=snapshot,
    )


def _fixed(door: Door, key: str) -> str:
    """Why nobody may write `key` here, however privileged; empty where somebody may."""
    if not door.mode(sysctl.path(key)) & _WRITE:
        return "it is read-only in this network namespace" if key.startswith("net.") else "it is read-only"
    with suppress(OSError):
        if os.statvfs(f"/proc/{sysctl.path(key)}").f_flag & os.ST_RDONLY:
            return "/proc/sys is mounted read-only, as in a container"
    return ""


def _memory() -> int | None:
    """MemTotal of /proc/meminfo in bytes (fs/proc/meminfo.c)."""
    with suppress(OSError, ValueError, IndexError), open("/proc/meminfo", "rb") as file:
        for line in file:
            if line.startswith(b"MemTotal:"):
                return int(line.split()[1]) << 10
    return None


def _boot_id() -> str:
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read(_LONGEST).strip()
    return ""
