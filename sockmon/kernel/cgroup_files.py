"""What one cgroup says of itself: pids.* and memory.* of v1 and v2 (kernel/cgroup/pids.c, mm/memcontrol.c)."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from sockmon.errors import Unreadable
from sockmon.kernel import process_files

READER = "cgroups"
_NO_LIMIT = 1 << 60
"""v1 writes PAGE_COUNTER_MAX where there is no limit: 9223372036854771712 with pages of 4 kB."""
_STARVED = (errno.EMFILE, errno.ENFILE)


class Counted(NamedTuple):
    """One group; memory in bytes."""

    current: int
    maximum: int | None
    failures: int | None
    """Forks that were refused or processes that were killed: of v2 those that this group's own limit caused where
    the kernel tells (pids.events.local since 6.11, memory.events.local since 5.2), else those of its own tasks,
    whichever group's limit it was."""
    reclaimable: int = 0
    sockets: int | None = None


class Place(NamedTuple):
    """A group's directory: `path` below the descriptor `directory`; `unified` is v2."""

    directory: int
    path: str
    unified: bool


def pids(place: Place, watched: bool) -> Counted | None:
    """The tasks of a group; None where it has no such files: it is a root, or it is gone.

    Without a limit only failures are read, and these only if `watched`: a group above has one."""
    text = _read(place, "pids.max")
    if text is None:
        return None
    maximum = _limit(text)
    if maximum is None and not watched:
        return Counted(0, None, None)
    local = _read(place, "pids.events.local") if place.unified else None
    failures = _field(local or _read(place, "pids.events"), b"max")
    current = _number(place, "pids.current") if maximum is not None else 0
    return Counted(current, maximum, failures) if current is not None else None


def memory(place: Place, watched: bool) -> Counted | None:
    """The memory of a group, as `pids`."""
    text = _read(place, "memory.max" if place.unified else "memory.limit_in_bytes")
    if text is None:
        return None
    maximum = _limit(text)
    if maximum is None and not watched:
        return Counted(0, None, None)
    failures = _kills(place, maximum is not None)
    if maximum is None:
        return Counted(0, None, failures)
    current = _number(place, "memory.current" if place.unified else "memory.usage_in_bytes")
    stat = _read(place, "memory.stat")
    if current is None or stat is None:
        return None
    reclaimable, sockets = _reclaimable(stat, place.unified), _field(stat, b"sock")
    return Counted(current, maximum, failures, min(reclaimable, current), sockets)


def _kills(place: Place, limited: bool) -> int | None:
    """Processes that were killed. `oom_kill` counts those too that died because the host had no memory, and of v2
    those of all groups below: no more of them can be this limit's than the group says that it met its limit."""
    if place.unified:
        kills = _field(_read(place, "memory.events"), b"oom_kill")
        met = _field(_read(place, "memory.events.local"), b"oom")
    else:
        kills = _field(_read(place, "memory.oom_control"), b"oom_kill")
        met = _number(place, "memory.failcnt") if limited else None
    return kills if kills is None or met is None else min(kills, met)


def _reclaimable(stat: bytes, unified: bool) -> int:
    """Page cache that is a copy of a file, and slab that can be given back; v1 does not tell of its slab."""
    names = (b"file", b"shmem", b"slab_reclaimable") if unified else (b"total_cache", b"total_shmem", b"")
    cache, shared, slab = (_field(stat, name) or 0 for name in names)
    return max(cache - shared, 0) + slab


def _field(text: bytes | None, name: bytes) -> int | None:
    """`max 14` → 14."""
    for line in (text or b"").split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == name and value.isdigit():
            return int(value)
    return None


def _limit(text: bytes) -> int | None:
    if text.strip() == b"max":
        return None
    maximum = _whole(text)
    return maximum if maximum < _NO_LIMIT else None


def _number(place: Place, name: str) -> int | None:
    text = _read(place, name)
    return _whole(text) if text is not None else None


def _whole(text: bytes) -> int:
    if not text.strip().isdigit():
        raise Unreadable(READER, "a file of a cgroup is not a number")
    return int(text)


def _read(place: Place, name: str) -> bytes | None:
    """A file of the group; None where there is none, or the group was removed meanwhile."""
    try:
        return process_files.read(f"{place.path}/{name}", place.directory, 65536)
    except OSError as error:
        if error.errno in _STARVED:
            raise Unreadable(READER, f"no file can be opened: {os.strerror(error.errno or 0)}") from error
        return None
