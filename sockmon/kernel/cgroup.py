"""Cgroups with a limit of tasks or memory: the groups of all processes and every ancestor, v1 and v2.

/proc/self/mountinfo says where the hierarchies are, /proc/PID/cgroup where a process is in them (cgroups(7)); what
a group says of itself is read by `cgroup_files`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sockmon.errors import Unreadable
from sockmon.kernel import cgroup_files, process_files
from sockmon.kernel.cgroup_files import READER, Counted, Place
from sockmon.kernel.cgroup_mounts import Mount, mount_of, parse_mounts, parse_paths, path_of
from sockmon.kernel.netlink import Steps
from sockmon.kernel.process_files import PROC
from sockmon.model.clean import clean
from sockmon.model.snapshot import Cgroups, MemoryCgroup, Missing, PidsCgroup, Process

MOST = 64
"""Groups of one kind that are told, the fullest."""
LOOK_EVERY = 10
"""Walks between two looks at where a process is: it is seldom moved once it has started."""
INITIAL_NAMESPACE = 0xEFFFFFFB
"""PROC_CGROUP_INIT_INO, include/linux/proc_ns.h."""
_YOUNG = 2  # looks in which a service manager may still move what it has just started
_STEP = 64


class _Known(NamedTuple):
    """Where a process was at the last look: controller → path."""

    paths: dict[str, str]
    looks: int


class _Inside(NamedTuple):
    """Who is in a group and below: how many, and the one with the most threads."""

    processes: int
    threads: int
    name: str

    def and_(self, more: _Inside) -> _Inside:
        threads, name = max(self[1:], more[1:])
        return _Inside(self.processes + more.processes, threads, name)


class _Limited(NamedTuple):
    """A group with a limit."""

    path: str
    counted: Counted
    failures: int | None
    """Those of groups below that have no limit of their own included, from when these were first seen."""
    inside: _Inside


class _Hierarchy:
    """The hierarchy that one controller uses, its mount held open."""

    def __init__(self, controller: str, mount: Mount) -> None:
        self.directory = os.open(mount.point, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.mount = mount
        self._read: Callable[[Place, bool], Counted | None]
        self._read = cgroup_files.pids if controller == "pids" else cgroup_files.memory
        self._first: dict[str, int] = {}

    def steps(self, members: dict[str, _Inside]) -> Steps[list[_Limited]]:
        """Those of `members` and of their ancestors that have a limit, fullest first."""
        inside: dict[str, _Inside] = {}
        for path, own in members.items():
            for name in self.mount.chain(path):
                inside[name] = inside[name].and_(own) if name in inside else own
        limited: dict[str, Counted] = {}
        below: Counter[str] = Counter()
        first: dict[str, int] = {}
        # A parent's path is shorter than that of its child.
        for path in sorted(inside, key=len):
            yield
            above = next((name for name in self.mount.chain(path) if name in limited), None)
            counted = self._read(self._place(path), above is not None)
            if counted is None:
                continue
            if counted.maximum is not None:
                limited[path] = counted
            elif above is not None and counted.failures is not None:
                first[path] = min(self._first.get(path, counted.failures), counted.failures)
                below[above] += counted.failures - first[path]
        self._first = first
        found = [
            _Limited(path, counted, _sum(counted.failures, below[path]), inside[path])
            for path, counted in limited.items()
        ]
        return sorted(found, key=_fullness, reverse=True)[:MOST]

    def _place(self, path: str) -> Place:
        return Place(self.directory, self.mount.below(path) or ".", self.mount.unified)


class Groups:
    """Reads the groups again and again; a hierarchy that is not mounted stands in `missing`."""

    def __init__(self, proc: str = PROC) -> None:
        self.missing: tuple[Missing, ...] = ()
        self._proc = process_files.open_proc(proc)
        self._hierarchies: dict[str, _Hierarchy] = {}
        self._known: dict[tuple[int, int], _Known] = {}
        self._turn = 0

    def close(self) -> None:
        """Let go of /proc and of the mounts."""
        for hierarchy in self._hierarchies.values():
            os.close(hierarchy.directory)
        self._hierarchies.clear()
        os.close(self._proc)

    def steps(self, processes: Iterable[Process], at: float) -> Steps[Cgroups]:
        """The groups of `processes` as of `at`; Unreadable where no hierarchy is mounted."""
        self._turn = (self._turn + 1) % LOOK_EVERY
        self._find_mounts()
        members: dict[str, dict[str, _Inside]] = {controller: {} for controller in self._hierarchies}
        known: dict[tuple[int, int], _Known] = {}
        for number, process in enumerate(processes, 1):
            if number % _STEP == 0:
                yield
            found = self._look(process)
            if found is not None:
                known[process.pid, process.start] = found
                _count(members, found.paths, process)
        self._known = known
        pids = (yield from self._hierarchies["pids"].steps(members["pids"])) if "pids" in members else []
        memory = (yield from self._hierarchies["memory"].steps(members["memory"])) if "memory" in members else []
        return Cgroups(at, tuple(map(_pids, pids)), tuple(map(_memory, memory)), self._hidden())

    def _look(self, process: Process) -> _Known | None:
        """Where a process is; None when it has ended or may not be read."""
        known = self._known.get((process.pid, process.start))
        if known is not None and known.looks > _YOUNG and process.pid % LOOK_EVERY != self._turn:
            return known
        try:
            paths = parse_paths(process_files.read(f"{process.pid}/cgroup", self._proc, 65536))
        except OSError:
            return None
        return _Known(paths, known.looks + 1 if known else 1)

    def _find_mounts(self) -> None:
        """Open the mount of each controller that has none yet."""
        wanted = [controller for controller in ("pids", "memory") if controller not in self._hierarchies]
        if not wanted:
            return
        try:
            own = parse_paths(process_files.read("self/cgroup", self._proc, 65536))
            mounts = parse_mounts(self._mountinfo())
        except OSError as error:
            raise Unreadable(READER, f"cannot find their mounts: {error.strerror}") from error
        missing = []
        for controller in wanted:
            mount = mount_of(controller, mounts, own)
            try:
                if mount is not None:
                    self._hierarchies[controller] = _Hierarchy(controller, mount)
                    continue
                reason = "is not mounted where sockmon runs"
            except OSError as error:
                reason = f"cannot be opened: {error.strerror}"
            missing.append(Missing(READER, f"the hierarchy with {controller} {reason}"))
        self.missing = tuple(missing)
        if not self._hierarchies:
            self.missing = ()
            raise Unreadable(READER, "no cgroup file system is mounted where sockmon runs")

    def _mountinfo(self) -> bytes:
        descriptor = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        with open(descriptor, "rb") as file:
            return file.read()

    def _hidden(self) -> bool:
        """True where ancestors are out of sight: in a cgroup namespace, or where a part of a tree is mounted."""
        if any(hierarchy.mount.root != "/" for hierarchy in self._hierarchies.values()):
            return True
        try:
            return os.stat("self/ns/cgroup", dir_fd=self._proc).st_ino != INITIAL_NAMESPACE
        except OSError:
            return False


def _count(members: dict[str, dict[str, _Inside]], paths: dict[str, str], process: Process) -> None:
    own = _Inside(1, process.threads, f"{process.name}[{process.pid}]")
    for controller, inside in members.items():
        path = path_of(controller, paths)
        if path is not None:
            inside[path] = inside[path].and_(own) if path in inside else own


def _sum(failures: int | None, below: int) -> int | None:
    return failures + below if failures is not None else None


def _fullness(group: _Limited) -> float:
    return group.counted.current / max(group.counted.maximum or 0, 1)


def _shown(path: str) -> str:
    return clean(os.fsencode(path), 1024)


def _pids(group: _Limited) -> PidsCgroup:
    current, maximum, inside = group.counted.current, group.counted.maximum or 0, group.inside
    return PidsCgroup(_shown(group.path), current, maximum, group.failures, inside.name, inside.processes)


def _memory(group: _Limited) -> MemoryCgroup:
    counted, inside = group.counted, group.inside
    return MemoryCgroup(
        _shown(group.path),
        counted.current,
        counted.maximum or 0,
        counted.reclaimable,
        counted.sockets,
        group.failures,
        inside.name,
        inside.processes,
    )
