"""Five limits make pthread_create() fail with EAGAIN, four of them fork() as well: how full each one is, so that
the one that binds is told from the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sockmon.ceilings.ceiling import Window, number
from sockmon.ceilings.files import subject
from sockmon.model.snapshot import UNLIMITED, Process

FAILS = "fork(), clone() and pthread_create() fail with EAGAIN (11)"
CLOSED_OFF = 16
"""A limit of tasks that nobody works with: a sandbox that wants to start nothing more."""
APART = 1.5
"""How far a user may be above a limit that only few of his tasks have, before it is taken for a sandbox's too."""


class UserTasks(NamedTuple):
    """The tasks of one real user, and the limit that his processes have."""

    uid: int
    user: str
    tasks: int
    processes: int
    limit: int
    binds: Process
    """One that the limit binds, of those the one with the most threads."""
    largest: Process


def bound_users(rows: Iterable[Process]) -> list[UserTasks]:
    """Users whom RLIMIT_NPROC can stop, fullest first."""
    by_user: dict[int, list[Process]] = {}
    for row in rows:
        by_user.setdefault(row.uid, []).append(row)
    found = [bound for own in by_user.values() if (bound := _bound(own)) is not None]
    return sorted(found, key=lambda user: user.tasks / user.limit, reverse=True)


def _bound(rows: list[Process]) -> UserTasks | None:
    by_limit: dict[int, list[Process]] = {}
    for row in rows:
        if not row.exempt and row.nproc not in (None, UNLIMITED) and row.nproc > max(CLOSED_OFF, row.threads - 1):
            by_limit.setdefault(row.nproc, []).append(row)
    tasks = sum(row.threads for row in rows)
    for limit, having in sorted(by_limit.items()):
        if tasks <= APART * limit or 2 * sum(row.threads for row in having) >= tasks:
            binds = max(having, key=_threads)
            return UserTasks(rows[0].uid, rows[0].user, tasks, len(rows), limit, binds, max(rows, key=_threads))
    return None


def largest(window: Window, count: int = 3) -> list[str]:
    """Who has the most tasks, in one line."""
    rows = window.now.processes.rows if window.now.processes else ()
    most = sorted(rows, key=_threads, reverse=True)[:count]
    return ["most tasks: " + ", ".join(f"{subject(row)} {row.threads:,}" for row in most)] if most else []


def other_causes(window: Window, ceiling: str) -> list[str]:
    """How full the other limits are that fail in the same way, in one line."""
    others = [text for other, text in _causes(window) if other != ceiling]
    return ["other causes of EAGAIN: " + "; ".join(others)] if others else []


def _causes(window: Window) -> Iterator[tuple[str, str]]:
    now = window.now
    if now.cgroups and now.cgroups.pids:
        group = max(now.cgroups.pids, key=lambda group: group.current / max(group.maximum, 1))
        yield "cgroup-pids", f"pids.max of {group.path} {_of(group.current, group.maximum)}"
    if now.processes and (users := bound_users(now.processes.rows)):
        yield "user-processes", f"tasks of {users[0].user} {_of(users[0].tasks, users[0].limit)}"
    if now.tasks:
        if now.tasks.initial:
            yield "pid-max", f"kernel.pid_max {_of(now.tasks.total, now.tasks.pid_max)}"
        yield "threads-max", f"kernel.threads-max {_of(now.tasks.total, now.tasks.threads_max)}"
    most = number(now.sysctls, "vm.max_map_count")
    if most is not None and now.maps and now.maps.rows:
        row = now.maps.rows[0]
        yield "memory-maps", f"maps of {row.name}[{row.pid}] {_of(row.maps, most)}"


def _of(used: int, limit: int) -> str:
    return f"{used:,} of {limit:,}" + (", full too" if used >= limit else "")


def _threads(row: Process) -> int:
    return row.threads
