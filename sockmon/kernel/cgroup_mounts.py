"""Where the cgroup hierarchies are mounted, and what a path in one is below its mount: /proc/self/mountinfo."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted hierarchy: the group `root` of it is what is seen at `point`."""

    controllers: frozenset[str]
    """Of v1; v2 has no such list."""
    root: str
    point: str
    unified: bool

    def below(self, path: str) -> str | None:
        """`path` relative to the mount point; None where it lies outside of what is mounted."""
        root = self.root.rstrip("/")
        if path.startswith("/..") or not f"{path}/".startswith(f"{root}/"):
            return None
        return path[len(root) :].strip("/") or "."

    def chain(self, path: str) -> Iterator[str]:
        """`path` and its ancestors as far as they are mounted, deepest first."""
        while self.below(path) is not None:
            yield path
            if path == "/":
                return
            path = path.rpartition("/")[0] or "/"


def parse_mounts(text: bytes) -> list[Mount]:
    """The cgroup mounts of a mountinfo, proc_pid_mountinfo(5); other lines are passed over."""
    found = []
    for line in text.split(b"\n"):
        head, _, tail = line.partition(b" - ")
        fields, kind = head.split(), tail.split()
        if len(fields) < 6 or len(kind) < 3 or kind[0] not in (b"cgroup", b"cgroup2"):
            continue
        unified = kind[0] == b"cgroup2"
        options = frozenset() if unified else frozenset(os.fsdecode(kind[2]).split(","))
        found.append(Mount(options, _unescape(fields[3]), _unescape(fields[4]), unified))
    return found


def _unescape(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 255]), field))


def parse_paths(text: bytes) -> dict[str, str]:
    """/proc/PID/cgroup: controller of v1 → path, and of v2 under the empty name."""
    found = {}
    for line in os.fsdecode(text).split("\n"):
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and path.startswith("/"):
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def path_of(controller: str, paths: Mapping[str, str]) -> str | None:
    """Where a process is for `controller`: in its own v1 hierarchy, else in the unified one."""
    return paths.get(controller, paths.get(""))


def mount_of(controller: str, mounts: Iterable[Mount], own: Mapping[str, str]) -> Mount | None:
    """The mount that shows most of the hierarchy of `controller`; `own` are the paths of any process."""
    old = controller in own
    fitting = [mount for mount in mounts if (controller in mount.controllers if old else mount.unified)]
    # In a cgroup namespace a mount from outside has its root above: nothing of it can be named.
    visible = [mount for mount in fitting if not mount.root.startswith("/..")]
    return min(visible, key=lambda mount: len(mount.root), default=None)
