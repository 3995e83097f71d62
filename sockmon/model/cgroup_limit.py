"""The limit of a cgroup that can be set, and what is known about it: `pids.max@/system.slice/nginx.service`."""

from __future__ import annotations

import msgspec


class AncestorLimit(msgspec.Struct, frozen=True):
    """The same limit of a cgroup above; it applies as well."""

    path: str
    limit: int


class CgroupLimit(msgspec.Struct, frozen=True):
    """Where the limit of a cgroup is, and what decides whether another value helps."""

    file: str
    """`/sys/fs/cgroup/system.slice/nginx.service/pids.max`."""
    used: int | None
    """Tasks, or bytes of memory, of the cgroup and those below it; None if they cannot be read."""
    ancestors: tuple[AncestorLimit, ...] = ()
    """Cgroups above that have a limit of this kind, the nearest first."""
    hidden: bool = False
    """Whether cgroups above are not visible: in a cgroup namespace, as in most containers."""
    maximum: int | None = None
    """Of memory.high, the memory.max of the same cgroup; None if it has none."""

    def lower_ancestor(self, limit: int | None) -> AncestorLimit | None:
        """Return the ancestor that is reached before `limit` (None: no limit); None if there is none."""
        lowest = min(self.ancestors, key=lambda each: each.limit, default=None)
        return lowest if lowest is not None and (limit is None or lowest.limit < limit) else None
