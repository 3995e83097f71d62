"""Where the cgroup hierarchies are mounted, and what a path in one is relative to its mount:
/proc/self/mountinfo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sockmon.kernel import mountinfo


class Mount(NamedTuple):
    """A mounted hierarchy: its group `root` is mounted at `point`."""

    controllers: frozenset[str]
    """Those of v1; empty for v2."""
    root: str
    point: str
    unified: bool

    def below(self, path: str) -> str | None:
        """Return `path` relative to the mount point; None if it lies outside of what is mounted."""
        root = self.root.rstrip("/")
        if path.startswith("/..") or not f"{path}/".startswith(f"{root}/"):
            return None
        return path[len(root) :].strip("/") or "."

    def chain(self, path: str) -> Iterator[str]:
        """Yield `path` and its ancestors as far as they are mounted, the deepest first."""
        while self.below(path) is not None:
            yield path
            if path == "/":
                return
            path = path.rpartition("/")[0] or "/"


def parse_mounts(text: bytes) -> list[Mount]:
    """Return the cgroup mounts of a mountinfo, proc_pid_mountinfo(5); skip other lines."""
    found = []
    for line in mountinfo.parse(text, (b"cgroup", b"cgroup2")):
        unified = line.kind == "cgroup2"
        options = frozenset() if unified else frozenset(line.options.split(","))
        found.append(Mount(options, line.root, line.point, unified))
    return found


def path_of(controller: str, paths: Mapping[str, str]) -> str | None:
    """Return the path of a process for `controller`: in its own v1 hierarchy, else in the unified one."""
    return paths.get(controller, paths.get(""))


def mount_of(controller: str, mounts: Iterable[Mount], own: Mapping[str, str]) -> Mount | None:
    """Return the mount that shows most of the hierarchy of `controller`; `own` are the paths of any process."""
    old = controller in own
    fitting = [mount for mount in mounts if (controller in mount.controllers if old else mount.unified)]
    # In a cgroup namespace the root of a mount from outside lies above ours: its groups have no path here.
    visible = [mount for mount in fitting if not mount.root.startswith("/..")]
    return min(visible, key=lambda mount: len(mount.root), default=None)
