"""All that is known of one process, from /proc/PID: descriptors by kind, limits, memory maps, cgroup."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from sockmon.errors import ReadError
from sockmon.kernel.errnos import FORBIDDEN, NO_SUCH_PROCESS
from sockmon.kernel.missing import note_missing
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import descriptors, proc_files
from sockmon.kernel.processes import memory_maps as maps
from sockmon.kernel.processes import rlimits as limits
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.read_timeout import ReadHung
from sockmon.model.detail import Limit, ProcessQuery
from sockmon.model.snapshot import Missing, Process

T = TypeVar("T")


class ProcessFiles(NamedTuple):
    """What /proc shows of one process; the sockets of `inodes` are read with sock_diag."""

    process: Process | None
    """None if it has ended (or the pid is another process now)."""
    kinds: dict[str, int]
    inodes: frozenset[int]
    """Its sockets; one that several descriptors share is there once."""
    limits: tuple[Limit, ...]
    maps: int | None
    cgroup: str
    missing: tuple[Missing, ...]


PROCESS_ENDED = ProcessFiles(None, {}, frozenset(), (), None, "", ())


def read_detail(table: ProcessTable, query: ProcessQuery) -> Incremental[ProcessFiles]:
    """Return everything about the process that `query` names, in steps of 64 descriptors; what cannot be read is
    in `missing`."""
    if not _is_queried(table.read_one(query.pid), query):
        return PROCESS_ENDED
    missing: list[Missing] = []
    found = descriptors.Descriptors({}, array("Q"), 0, 0)
    try:
        found = yield from descriptors.read_descriptors(query.pid, table.proc)
    except ReadError as error:
        note_missing(missing, error)
    if found.read < found.total:
        missing.append(
            Missing("descriptors", f"kinds and sockets are those of {found.read:,} of {found.total:,} descriptors")
        )
    rlimits = _read_or_note(missing, lambda: limits.read(query.pid, table.proc))
    mapped = yield from _maps(table, query.pid, missing)
    cgroup = _read_or_note(missing, lambda: _cgroup(table, query.pid))
    # Read last: if the process still runs, all that was read above is of this process.
    process = table.read_one(query.pid)
    if not _is_queried(process, query):
        return PROCESS_ENDED
    return ProcessFiles(
        process, found.kinds, frozenset(found.inodes), rlimits or (), mapped, cgroup or "", tuple(missing)
    )


def _is_queried(process: Process | None, query: ProcessQuery) -> bool:
    return process is not None and process.start == query.start


def _maps(table: ProcessTable, pid: int, missing: list[Missing]) -> Incremental[int | None]:
    try:
        return (yield from maps.count(table, pid))
    except ReadHung as error:
        table.note_hang(pid)
        missing.append(Missing("maps", error.message))
    except OSError as error:
        missing.append(Missing("maps", _reason(error, pid, "read /proc/PID/maps")))
    except ReadError as error:
        missing.append(Missing("maps", error.message))
    return None


def _cgroup(table: ProcessTable, pid: int) -> str:
    try:
        text = proc_files.read(f"{pid}/cgroup", table.proc, 16384)
        return proc_files.main_cgroup(proc_files.parse_cgroup_paths(text))
    except OSError as error:
        raise ReadError("cgroup", _reason(error, pid, "read /proc/PID/cgroup")) from error


def _reason(error: OSError, pid: int, what: str) -> str:
    if error.errno in FORBIDDEN:
        return proc_files.permission_reason(what)
    return proc_files.ended_reason(pid) if error.errno in NO_SUCH_PROCESS else str(error.strerror)


def _read_or_note(missing: list[Missing], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ReadError as error:
        note_missing(missing, error)
        return None
