"""The cgroups with a limit of tasks or memory; a part of a Snapshot."""

from __future__ import annotations

import msgspec


class PidsCgroup(msgspec.Struct, frozen=True):
    """A cgroup with a task limit: its pids.current, pids.max and pids.events."""

    path: str
    current: int
    maximum: int
    refused: int | None
    """`max` of pids.events: forks that were refused. Before Linux 6.11, and on v1, they are counted in the cgroup
    of the task that forks."""
    name: str
    """The name of a process in it."""
    processes: int
    """Visible processes in it and in its descendants."""
    common_name: str = ""
    """The name whose processes have the most tasks, of these; empty in older recordings."""
    common_processes: int = 0
    common_tasks: int = 0


class MemoryCgroup(msgspec.Struct, frozen=True):
    """A cgroup with a memory limit, in bytes."""

    path: str
    current: int
    maximum: int
    reclaimable: int
    """Page cache and slab in `current`, which the kernel reclaims before it kills a process."""
    sockets: int | None
    """TCP and UDP buffers in `current`."""
    oom_kills: int | None
    name: str
    processes: int


class Cgroups(msgspec.Struct, frozen=True):
    """The cgroups with a limit, among those of the visible processes and their ancestors."""

    at: float
    pids: tuple[PidsCgroup, ...]
    memory: tuple[MemoryCgroup, ...]
    hidden: bool
    """True in a cgroup namespace: ancestors, whose limits apply too, are not shown."""
