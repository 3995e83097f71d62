"""Private cgroups of a lab, below the caller's own; inside the namespaces none could be made."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from sockmon.errors import LabUnavailable
from sockmon.kernel.cgroups.mounts import parse_mounts
from sockmon.kernel.processes.proc_files import parse_cgroup_paths

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*")
_PREFIX = "sockmon-lab-"
_V1_FILES = {("memory", "max"): "memory.limit_in_bytes"}
_REMOVE_TIMEOUT = 5.0
"""Seconds to wait until the kernel has released the last dead member of a group."""


class LabCgroups:
    """The cgroups of one lab: `sockmon-lab-PID/NAME`, with the supervisor's pid."""

    def __init__(self) -> None:
        self._roots: dict[Path, int] = {}

    def create(self, controller: str, name: str, limits: Mapping[str, int | str]) -> Path:
        """Return a new cgroup; raise LabUnavailable if it cannot be made.

        A slash in `name` separates nested groups; the limits are those of the innermost one. If it exists already,
        only its limits are set."""
        if not _NAME.fullmatch(name):
            raise LabUnavailable(f"not a valid name for a cgroup: {name}")
        group = writable_cgroup(controller) / f"{_PREFIX}{os.getpid()}"
        try:
            group.mkdir(exist_ok=True)
            if group not in self._roots:
                self._roots[group] = os.open(group, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(self._roots[group], fcntl.LOCK_EX)
            for part in name.split("/"):
                if (group / "cgroup.subtree_control").exists():
                    (group / "cgroup.subtree_control").write_text(f"+{controller}")
                group /= part
                group.mkdir(exist_ok=True)
            for key, value in limits.items():
                (group / _limit_file(group, controller, key)).write_text(str(value))
        except OSError as error:
            raise LabUnavailable(f"the cgroup {group} cannot be set up: {error.strerror}") from error
        return group

    def remove(self) -> None:
        """Remove all of them, once their members are dead."""
        for root in self._roots:
            _remove(root, time.monotonic() + _REMOVE_TIMEOUT)


def writable_cgroup(controller: str) -> Path:
    """Return the nearest cgroup above this process in which groups with `controller` can be made.

    Raise LabUnavailable if there is none."""
    for root, own in _mounted_hierarchies(controller):
        if not (root / "cgroup.subtree_control").exists():
            if _can_create_in(root / own):
                return root / own
            continue
        # cgroups-v2: only a group that delegates the controller can have children with it.
        for group in (root / own, *(root / own).parents):
            delegated = _read_words(group / "cgroup.subtree_control")
            if controller in delegated and _can_create_in(group) and os.access(group / "cgroup.procs", os.W_OK):
                return group
            if group == root:
                break
    raise LabUnavailable(
        f"no writable cgroup has the {controller} controller",
        f"run it as root, or in a delegated group: systemd-run --user --scope -p Delegate={controller} …",
    )


def _can_create_in(group: Path) -> bool:
    return os.access(group, os.W_OK | os.X_OK)


def _limit_file(group: Path, controller: str, key: str) -> str:
    name = f"{controller}.{key}"
    return name if (group / name).exists() else _V1_FILES.get((controller, key), name)


def _read_words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _mounted_hierarchies(controller: str) -> Iterator[tuple[Path, str]]:
    """Yield each mount point of a hierarchy that may have `controller`, with this process's group below it."""
    own = parse_cgroup_paths(Path("/proc/self/cgroup").read_bytes())
    for mount in parse_mounts(Path("/proc/self/mountinfo").read_bytes()):
        if mount.unified or controller in mount.controllers:
            below = mount.below(own.get("" if mount.unified else controller, ".."))
            if below is not None:
                yield Path(mount.point), below


def _remove(root: Path, deadline: float) -> None:
    for directory, _, _ in os.walk(root, topdown=False):
        while True:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            else:
                break


def remove_abandoned(timeout: float = 0.0) -> None:
    """Remove the cgroups of killed supervisors; wait up to `timeout` seconds for their members to die."""
    for controller in ("pids", "memory"):
        with suppress(LabUnavailable, OSError):
            for root in writable_cgroup(controller).glob(f"{_PREFIX}*"):
                if not _in_use(root):
                    _remove(root, time.monotonic() + timeout)


def _in_use(root: Path) -> bool:
    """Return whether its supervisor is alive; in another pid namespace it has no pid here, so it holds a lock."""
    if Path("/proc", root.name.removeprefix(_PREFIX)).exists():
        return True
    descriptor = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
