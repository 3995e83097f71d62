"""What set the limits of processes: of those near a limit for each Snapshot, of one for its Detail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.limit_origin.origin import OriginFinder
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.read_timeout import TimeoutReader
from sockmon.model.limit_origin import LimitOrigin, Resource
from sockmon.model.snapshot import Process

NEAR_SHARE = 0.5
"""Share of a limit in use from which on a Snapshot has its origin."""
MAX_PROCESSES = 16
MAX_OF_USER = 4
_CONFIGURATION_SECONDS = 10.0
"""Seconds before the files of the configuration are read again."""
_HANG_SECONDS = 1.0
_RESOURCES: tuple[Resource, ...] = ("nofile", "nproc", "memlock")


class _Near(NamedTuple):
    """A process that is near a limit."""

    pid: int
    start: int
    resource: Resource


class LimitOrigins:
    """Finds origins again and again, and reads each file of the configuration once in 10 s."""

    def __init__(self) -> None:
        # Not that of the process table: a disk that hangs must not use up its threads.
        self._timeout_reader = TimeoutReader(_HANG_SECONDS)
        self._finder = OriginFinder()
        self._made = time.monotonic()

    def close(self) -> None:
        """End the thread that reads files."""
        self._timeout_reader.close()

    def of(self, pid: int, start: int) -> tuple[LimitOrigin, ...]:
        """Return the origins of the limits of one process; empty if it has ended."""
        found = (self._find(pid, start, resource) for resource in _RESOURCES)
        return tuple(origin for origin in found if origin)

    def steps(self, rows: tuple[Process, ...]) -> Incremental[tuple[LimitOrigin, ...]]:
        """Return the origins of the limits that are more than half in use, a process in each step."""
        found = []
        for near in (*_near_descriptors(rows), *_near_tasks(rows)):
            if origin := self._find(*near):
                found.append(origin)
            yield
        return tuple(found)

    def _find(self, pid: int, start: int, resource: Resource) -> LimitOrigin | None:
        if time.monotonic() >= self._made + _CONFIGURATION_SECONDS:
            self._finder, self._made = OriginFinder(), time.monotonic()
        origin = self._find_in_time(pid, resource)
        return origin if origin and origin.start == start else None

    def _find_in_time(self, pid: int, resource: Resource) -> LimitOrigin | None:
        """Return the origin; None if reading it hangs: a unit or a script of a user may be on a disk that does."""
        finder = self._finder
        try:
            return self._timeout_reader.call(lambda: finder.find(pid, resource))
        except ReadError:
            # The thread that hangs still has the old one.
            self._finder = OriginFinder()
            return None


def _near_descriptors(rows: tuple[Process, ...]) -> Iterator[_Near]:
    shares = [(row.fds / row.soft, row) for row in rows if row.fds and row.soft and row.soft > 0]
    near = sorted((each for each in shares if each[0] >= NEAR_SHARE), key=lambda each: -each[0])
    for _, row in near[:MAX_PROCESSES]:
        yield _Near(row.pid, row.start, "nofile")


def _near_tasks(rows: tuple[Process, ...]) -> Iterator[_Near]:
    """Yield the processes with the lowest limits of users that have used up half of it."""
    limited = sorted(rows, key=lambda row: (row.uid, row.user_namespace))
    for _, group in groupby(limited, key=lambda row: (row.uid, row.user_namespace)):
        of_user = list(group)
        tasks = sum(row.threads for row in of_user)
        near = [row for row in of_user if not row.exempt and row.nproc and 0 < NEAR_SHARE * row.nproc <= tasks]
        for row in sorted(near, key=lambda row: (row.nproc or 0, -row.threads))[:MAX_OF_USER]:
            yield _Near(row.pid, row.start, "nproc")
