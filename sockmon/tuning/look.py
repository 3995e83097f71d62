"""Sysctls and limits of processes as they are now, and which of them may be changed here; /proc/sys,
kernel/sysctl.c, /proc/PID/limits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import closing, suppress

from sockmon.errors import Absent, Unreadable
from sockmon.kernel import limits, process_files, sysctl
from sockmon.kernel.netns import Door, open_other
from sockmon.kernel.setns import Opened
from sockmon.model.snapshot import UNLIMITED, Snapshot
from sockmon.tuning.here import RANGE, RESERVED, UNPRIVILEGED, Here
from sockmon.tuning.inside import not_ours

ALWAYS = (RANGE, RESERVED, UNPRIVILEGED)
"""Read in any case: they decide how many ports there are."""
_LIMIT = re.compile(r"(nofile|nproc)@([0-9]{1,10})")
_ROWS = {"nofile": "Max open files", "nproc": "Max processes"}
_DEAD = ("Z", "X")
_WRITE = 0o222
_LONGEST = 64 * 1024


class Sight:
    """What is looked at again and again: opened once, so that looking needs no free descriptor later."""

    def __init__(self, keys: Iterable[str], netns: str | None = None) -> None:
        """`keys` in the namespace `netns`, or in our own; those that no namespace has are the host's.
        Raises NoSuchNamespace."""
        self._own = Door("", Opened(os.stat("/proc/thread-self/ns/net").st_ino), "/proc")
        wanted = [key for key in (*ALWAYS, *keys) if not is_limit(key)]
        self._there = open_other(netns, tuple(map(sysctl.path, wanted))) if netns else self._own
        self.netns = netns or ""
        self._boot_id = _boot_id()
        self._memory = _memory()

    @property
    def elsewhere(self) -> bool:
        """Whether that is another namespace than ours, in which nothing can be changed from here."""
        return self._there.inode != self._own.inode

    def look(self, keys: Iterable[str], snapshot: Snapshot | None = None) -> Here:
        """Their values now; one that has none, or takes none, is in `refused` with the reason."""
        values: dict[str, str] = {}
        refused: dict[str, str] = {}
        starts: dict[str, int] = {}
        for key in dict.fromkeys((*ALWAYS, *keys)):
            try:
                if limit := _LIMIT.fullmatch(key):
                    values[key], starts[key] = _limit(limit[1], int(limit[2]))
                    continue
                door = self._there if key.startswith("net.") else self._own
                values[key] = sysctl.read(door, key)
                reason = _fixed(door, key) or not_ours(key)
            except Absent:
                reason = "this kernel does not have it, or this network namespace does not show it"
            except Unreadable as error:
                reason = error.message
            if reason:
                refused[key] = reason
        return Here(
            values=values,
            refused=refused,
            starts=starts,
            netns=self._there.inode,
            boot_id=(snapshot.host.boot_id if snapshot else "") or self._boot_id,
            door=self.netns,
            memory=self._memory,
            snapshot=snapshot,
        )

    def close(self) -> None:
        """Let go of the namespaces."""
        self._own.close()
        self._there.close()


def look(keys: Iterable[str], netns: str | None = None, snapshot: Snapshot | None = None) -> Here:
    """The values of `keys` in the namespace `netns`, or in our own; those that no namespace has are the host's,
    and `nofile@1044` is a limit of process 1044.

    Needs no privilege. Raises NoSuchNamespace; a key that has no value, or takes none, is in `refused`."""
    wanted = list(keys)
    with closing(Sight(wanted, netns)) as sight:
        return sight.look(wanted, snapshot)


def is_limit(key: str) -> bool:
    """Whether it is `nofile@1044`, a limit of a process."""
    return _LIMIT.fullmatch(key) is not None


def _fixed(door: Door, key: str) -> str:
    """Why nobody may write `key` here, however privileged; empty where somebody may."""
    if not door.mode(sysctl.path(key)) & _WRITE:
        return "it is read-only in this network namespace" if key.startswith("net.") else "it is read-only"
    with suppress(OSError):
        if os.statvfs(f"/proc/{sysctl.path(key)}").f_flag & os.ST_RDONLY:
            return "/proc/sys is mounted read-only, as in a container"
    return ""


def _limit(name: str, pid: int) -> tuple[str, int]:
    """SOFT:HARD of a process, and when it began: the start time is read before and after, or the limits could be
    those of another process with the same pid. Unreadable where it has ended."""
    before = _start(pid)
    row = next((row for row in limits.read(pid) if row.name == _ROWS[name]), None)
    if row is None or before is None or _start(pid) != before:
        raise Unreadable("limits", f"process {pid} has ended")
    found = ("unlimited" if each == UNLIMITED else str(each) for each in (row.soft, row.hard))
    return ":".join(found), before


def _start(pid: int) -> int | None:
    with suppress(OSError, ValueError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        found = process_files.parse_stat(file.read(4096))
        return None if found.state in _DEAD else found.start
    return None


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
