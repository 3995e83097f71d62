"""Groups of a lab's own, below the caller's: made and removed from outside, because inside nobody may."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from sockmon.errors import LabUnavailable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*")
_PREFIX = "sockmon-lab-"
_V1_FILES = {("memory", "max"): "memory.limit_in_bytes"}
_PATIENCE = 5.0
"""Seconds to wait until the kernel has let go of the last dead member of a group."""


class Cgroups:
    """The groups of one lab, `sockmon-lab-PID/NAME` with the supervisor's pid."""

    def __init__(self) -> None:
        self._tops: dict[Path, int] = {}

    def make(self, controller: str, name: str, limits: Mapping[str, int | str]) -> Path:
        """A new group; parts of `name` between slashes are groups within each other, limits are the last one's.
        It may exist already, then only its limits are set. LabUnavailable where there is no place for it."""
        if not _NAME.fullmatch(name):
            raise LabUnavailable(f"no name for a cgroup: {name}")
        place = home(controller)
        group = place / f"{_PREFIX}{os.getpid()}"
        try:
            group.mkdir(exist_ok=True)
            if group not in self._tops:
                self._tops[group] = os.open(group, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(self._tops[group], fcntl.LOCK_EX)
            for part in name.split("/"):
                if (group / "cgroup.subtree_control").exists():
                    (group / "cgroup.subtree_control").write_text(f"+{controller}")
                group /= part
                group.mkdir(exist_ok=True)
            for key, value in limits.items():
                (group / _file(group, controller, key)).write_text(str(value))
        except OSError as error:
            raise LabUnavailable(f"the cgroup {group} cannot be set up: {error.strerror}") from error
        return group

    def remove(self) -> None:
        """Remove all of them, once their members are dead."""
        for top in self._tops:
            _remove(top, time.monotonic() + _PATIENCE)


def home(controller: str) -> Path:
    """The nearest group of ours below which we may make groups that have `controller`; LabUnavailable: none."""
    for root, own in _places(controller):
        if not (root / "cgroup.subtree_control").exists():
            if _may_make(root / own):
                return root / own
            continue
        # cgroups-v2: only a group that hands the controller down can have children with it.
        for group in (root / own, *(root / own).parents):
            handed_down = _words(group / "cgroup.subtree_control")
            if controller in handed_down and _may_make(group) and os.access(group / "cgroup.procs", os.W_OK):
                return group
            if group == root:
                break
    raise LabUnavailable(
        f"there is no writable cgroup with the {controller} controller",
        f"as root, or in a delegated group: systemd-run --user --scope -p Delegate={controller} …",
    )


def _may_make(group: Path) -> bool:
    return os.access(group, os.W_OK | os.X_OK)


def _file(group: Path, controller: str, key: str) -> str:
    plain = f"{controller}.{key}"
    return plain if (group / plain).exists() else _V1_FILES.get((controller, key), plain)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _places(controller: str) -> Iterator[tuple[Path, str]]:
    """Where a hierarchy that may have `controller` is mounted, and our own group below it."""
    groups = dict(_own_groups())
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        root, at = left.split()[3:5]
        kind, _, options = right.split()[:3]
        names = options.split(",") if kind == "cgroup" else [""] if kind == "cgroup2" else []
        own = groups.get(controller if controller in names else "") if {controller, ""} & set(names) else None
        if own is not None and (own + "/").startswith(root.rstrip("/") + "/"):
            yield Path(at), own[len(root.rstrip("/")) :].lstrip("/")


def _own_groups() -> Iterator[tuple[str, str]]:
    """Controller → our group in its hierarchy; the unified hierarchy has no name. cgroups(7), /proc/PID/cgroup."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, group = line.split(":", 2)
        for name in names.split(","):
            yield name, group


def _remove(top: Path, until: float) -> None:
    for directory, _, _ in os.walk(top, topdown=False):
        while True:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > until:
                    break
                time.sleep(0.02)
            else:
                break


def sweep(patience: float = 0.0) -> None:
    """Remove what a supervisor left behind that was killed itself; its members die within `patience` seconds."""
    for controller in ("pids", "memory"):
        with suppress(LabUnavailable, OSError):
            for top in home(controller).glob(f"{_PREFIX}*"):
                if not _is_held(top):
                    _remove(top, time.monotonic() + patience)


def _is_held(top: Path) -> bool:
    """True where its supervisor lives: one in another pid namespace has no number here, so it holds a lock."""
    if Path("/proc", top.name.removeprefix(_PREFIX)).exists():
        return True
    door = os.open(top, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(door)
    return False
