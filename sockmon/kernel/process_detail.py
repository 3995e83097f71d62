"""One process seen whole, from /proc/PID: descriptors by kind, limits, memory maps, cgroup."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from sockmon.errors import Unreadable
from sockmon.kernel import fds, limits, maps, process_files
from sockmon.kernel.netlink import Steps
from sockmon.kernel.processes import ProcessTable
from sockmon.model.detail import Limit, ProcessFocus
from sockmon.model.snapshot import Missing, Process

T = TypeVar("T")


class Seen(NamedTuple):
    """What /proc says about one process; the sockets behind `inodes` are sock_diag's to tell."""

    process: Process | None
    """None: it has ended (or the pid is another process now)."""
    kinds: dict[str, int]
    inodes: frozenset[int]
    """Its sockets; those that several descriptors share once."""
    limits: tuple[Limit, ...]
    maps: int | None
    cgroup: str
    missing: tuple[Missing, ...]


ENDED = Seen(None, {}, frozenset(), (), None, "", ())


def look(table: ProcessTable, focus: ProcessFocus) -> Steps[Seen]:
    """Everything about the process of `focus`, in steps of 64 descriptors; what cannot be seen is in `missing`."""
    if not _is_focus(table.one(focus.pid), focus):
        return ENDED
    missing: list[Missing] = []
    found = fds.Descriptors({}, array("Q"), 0, 0)
    try:
        found = yield from fds.look(focus.pid, table.proc)
    except Unreadable as error:
        missing.append(Missing(error.reader, error.message))
    if found.seen < found.total:
        missing.append(
            Missing("descriptors", f"kinds and sockets of {found.seen:,} of {found.total:,} descriptors")
        )
    rlimits = _try(missing, lambda: limits.read(focus.pid, table.proc))
    mapped = yield from _maps(table, focus.pid, missing)
    cgroup = _try(missing, lambda: _cgroup(table, focus.pid))
    # Asked last: whatever was read above belongs to this process if it still runs.
    process = table.one(focus.pid)
    if not _is_focus(process, focus):
        return ENDED
    return Seen(process, found.kinds, frozenset(found.inodes), rlimits or (), mapped, cgroup or "", tuple(missing))


def _is_focus(process: Process | None, focus: ProcessFocus) -> bool:
    return process is not None and process.start == focus.start


def _maps(table: ProcessTable, pid: int, missing: list[Missing]) -> Steps[int | None]:
    try:
        return (yield from maps.count(table, pid))
    except OSError as error:
        missing.append(Missing("maps", _reason(error, "read /proc/PID/maps")))
    except Unreadable as error:
        missing.append(Missing("maps", error.message))
    return None


def _cgroup(table: ProcessTable, pid: int) -> str:
    try:
        return process_files.parse_cgroup(process_files.read(f"{pid}/cgroup", table.proc, 16384))
    except OSError as error:
        raise Unreadable("cgroup", _reason(error, "read /proc/PID/cgroup")) from error


def _reason(error: OSError, what: str) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return process_files.forbidden(what)
    return "the process has ended" if error.errno in (errno.ENOENT, errno.ESRCH) else str(error.strerror)


def _try(missing: list[Missing], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except Unreadable as error:
        missing.append(Missing(error.reader, error.message))
        return None
