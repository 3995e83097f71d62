"""The files of one cgroup: pids.* and memory.* of v1 and v2 (kernel/cgroup/pids.c, mm/memcontrol.c)."""

from __future__ import annotations

import os
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.integers import is_count
from sockmon.kernel.processes import proc_files

READER = "cgroups"
V1_NO_LIMIT = 1 << 60
"""v1 writes PAGE_COUNTER_MAX if there is no limit: 9223372036854771712 with pages of 4 kB."""


class CgroupUsage(NamedTuple):
    """The usage of one group; memory in bytes."""

    current: int
    maximum: int | None
    failures: int | None
    """Refused forks or killed processes. On v2 those that the group's own limit caused, if the kernel counts them
    (pids.events.local since 6.11, memory.events.local since 5.2), else those of its own tasks, whichever group's
    limit caused them."""
    reclaimable: int = 0
    sockets: int | None = None


class CgroupDir(NamedTuple):
    """The directory of a group: `path` relative to the descriptor `directory`; `unified` is v2."""

    directory: int
    path: str
    unified: bool


def read_pids(group: CgroupDir, watched: bool) -> CgroupUsage | None:
    """Return the tasks of a group; None if it does not have these files: it is a root, or has been removed.

    Without a limit only failures are read, and only if `watched`: a group above has a limit."""
    text = _read_file(group, "pids.max")
    if text is None:
        return None
    maximum = _parse_limit(text)
    if maximum is None and not watched:
        return CgroupUsage(0, None, None)
    local = _read_file(group, "pids.events.local") if group.unified else None
    failures = _parse_field(local or _read_file(group, "pids.events"), b"max")
    current = _read_count(group, "pids.current") if maximum is not None else 0
    return CgroupUsage(current, maximum, failures) if current is not None else None


def read_memory(group: CgroupDir, watched: bool) -> CgroupUsage | None:
    """Return the memory of a group, as `read_pids`."""
    text = _read_file(group, "memory.max" if group.unified else "memory.limit_in_bytes")
    if text is None:
        return None
    maximum = _parse_limit(text)
    if maximum is None and not watched:
        return CgroupUsage(0, None, None)
    failures = _kills(group, maximum is not None)
    if maximum is None:
        return CgroupUsage(0, None, failures)
    current = _read_count(group, "memory.current" if group.unified else "memory.usage_in_bytes")
    stat = _read_file(group, "memory.stat")
    if current is None or stat is None:
        return None
    reclaimable, sockets = _reclaimable(stat, group.unified), _parse_field(stat, b"sock")
    return CgroupUsage(current, maximum, failures, min(reclaimable, current), sockets)


def _kills(group: CgroupDir, limited: bool) -> int | None:
    """Return how many processes were killed. `oom_kill` includes those that died because the host had no memory,
    and on v2 those of all groups below; so at most as many count as the group reached its limit."""
    if group.unified:
        kills = _parse_field(_read_file(group, "memory.events"), b"oom_kill")
        reached = _parse_field(_read_file(group, "memory.events.local"), b"oom")
    else:
        kills = _parse_field(_read_file(group, "memory.oom_control"), b"oom_kill")
        reached = _read_count(group, "memory.failcnt") if limited else None
    return kills if kills is None or reached is None else min(kills, reached)


def _reclaimable(stat: bytes, unified: bool) -> int:
    """Return the bytes of page cache that is a copy of a file, and of slab that can be freed; v1 does not show its
    slab."""
    names = (b"file", b"shmem", b"slab_reclaimable") if unified else (b"total_cache", b"total_shmem", b"")
    cache, shared, slab = (_parse_field(stat, name) or 0 for name in names)
    return max(cache - shared, 0) + slab


def _parse_field(text: bytes | None, name: bytes) -> int | None:
    """Return 14 for `max 14`."""
    for line in (text or b"").split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == name and is_count(value):
            return int(value)
    return None


def _parse_limit(text: bytes) -> int | None:
    if text.strip() == b"max":
        return None
    maximum = _parse_count(text)
    return maximum if maximum < V1_NO_LIMIT else None


def _read_count(group: CgroupDir, name: str) -> int | None:
    text = _read_file(group, name)
    return _parse_count(text) if text is not None else None


def _parse_count(text: bytes) -> int:
    if not is_count(text.strip()):
        raise ReadError(READER, "expected a number in a file of a cgroup")
    return int(text)


def _read_file(group: CgroupDir, name: str) -> bytes | None:
    """Return a file of the group; None if it does not exist, or the group was removed meanwhile."""
    try:
        return proc_files.read(f"{group.path}/{name}", group.directory, 65536)
    except OSError as error:
        if error.errno in NO_FREE_FILE:
            raise ReadError(READER, f"no file can be opened: {os.strerror(error.errno or 0)}") from error
        return None
