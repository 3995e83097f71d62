"""Cgroups with a limit of tasks or memory: the groups of all processes and every ancestor, v1 and v2.

/proc/self/mountinfo has the hierarchies, /proc/PID/cgroup the place of a process in them (cgroups(7)); `files`
reads the files of a group.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.cgroups import files
from sockmon.kernel.cgroups.files import READER, CgroupDir, CgroupUsage
from sockmon.kernel.cgroups.mounts import Mount, mount_of, parse_mounts, path_of
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.proc_files import PROC, parse_cgroup_paths
from sockmon.model.snapshot import HIDDEN_ANCESTORS, Cgroups, MemoryCgroup, Missing, PidsCgroup, Process
from sockmon.text import sanitize

MAX_GROUPS = 64
"""Groups of one kind that are listed at most, the fullest first."""
REREAD_EVERY = 10
"""Walks between two reads of the cgroup of a process: it is seldom moved after it has started."""
INITIAL_NAMESPACE = 0xEFFFFFFB
"""PROC_CGROUP_INIT_INO, include/linux/proc_ns.h."""
_ANCESTORS_HIDDEN = Missing(
    READER,
    "cgroups above the cgroup namespace may have limits too, which are not visible. To see them, run sockmon on"
    " the host",
    HIDDEN_ANCESTORS,
    "cgroups above the cgroup namespace",
)
_CONTROLLERS = ("pids", "memory")
_YOUNG_READS = 2  # reads of a process that a service manager has just started and may still move
_PROCESSES_PER_STEP = 64


class _KnownPaths(NamedTuple):
    """The cgroups of a process as last read, with their controllers."""

    paths: tuple[tuple[str, str], ...]
    reads: int


class _Members(NamedTuple):
    """The processes in a group and below it: how many, the one with the most threads, and the name of which those
    of one name have the most threads together."""

    processes: int
    largest: str
    """`nginx[1044]`"""
    common_name: str
    common_processes: int
    common_tasks: int


def _members(processes: Iterable[Process]) -> _Members:
    named, tasks, largest = Counter[str](), Counter[str](), (0, "")
    for process in processes:
        named[process.name] += 1
        tasks[process.name] += process.threads
        if process.threads >= largest[0]:
            largest = max(largest, (process.threads, f"{process.name}[{process.pid}]"))
    name, most = max(tasks.items(), key=itemgetter(1), default=("", 0))
    return _Members(named.total(), largest[1], name, named[name], most)


class _Limited(NamedTuple):
    """A group with a limit."""

    path: str
    counted: CgroupUsage
    failures: int | None
    """Includes groups below without a limit of their own, counted from when these were first seen."""
    inside: _Members


class _Hierarchy:
    """The hierarchy that one controller uses, its mount held open."""

    def __init__(self, controller: str, mount: Mount, directory: int | None = None) -> None:
        """`directory` is the mount if another controller has it open."""
        if directory is None:
            directory = os.open(mount.point, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.directory = directory
        self.mount = mount
        self._read: Callable[[CgroupDir, bool], CgroupUsage | None]
        self._read = files.read_pids if controller == "pids" else files.read_memory
        self._first: dict[str, int] = {}

    def steps(self, members: dict[str, list[Process]]) -> Incremental[list[_Limited]]:
        """Return those of `members` and of their ancestors that have a limit, the fullest first."""
        inside: defaultdict[str, list[str]] = defaultdict(list)
        for path in members:
            for name in self.mount.chain(path):
                inside[name].append(path)
        limited: dict[str, CgroupUsage] = {}
        below: Counter[str] = Counter()
        first: dict[str, int] = {}
        # A parent's path is shorter than that of its child.
        for path in sorted(inside, key=len):
            yield
            above = next((name for name in self.mount.chain(path) if name in limited), None)
            counted = self._read(self._dir_of(path), above is not None)
            if counted is None:
                continue
            if counted.maximum is not None:
                limited[path] = counted
            elif above is not None and counted.failures is not None:
                first[path] = min(self._first.get(path, counted.failures), counted.failures)
                below[above] += counted.failures - first[path]
        self._first = first
        fullest = sorted(limited, key=lambda path: _fullness(limited[path]), reverse=True)[:MAX_GROUPS]
        return [
            _Limited(
                path,
                limited[path],
                _sum(limited[path].failures, below[path]),
                _members(process for group in inside[path] for process in members[group]),
            )
            for path in fullest
        ]

    def _dir_of(self, path: str) -> CgroupDir:
        return CgroupDir(self.directory, self.mount.below(path) or ".", self.mount.unified)


class CgroupReader:
    """Reads the groups again and again; a hierarchy that is not mounted is in `missing`."""

    def __init__(self, proc: str = PROC, shared_proc: int | None = None) -> None:
        """`shared_proc` is a descriptor of `proc` that the caller closes; None: one of our own."""
        self._unmounted: tuple[Missing, ...] = ()
        self._ancestors: tuple[Missing, ...] = ()
        self._own_proc = shared_proc is None
        self._proc = proc_files.open_proc(proc) if shared_proc is None else shared_proc
        self._hierarchies: dict[str, _Hierarchy] = {}
        self._paths: dict[tuple[int, int], _KnownPaths] = {}
        self._turn = 0

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Return what could not be read, and why."""
        return (*self._unmounted, *self._ancestors)

    def close(self) -> None:
        """Close /proc and the mounts."""
        for directory in {hierarchy.directory for hierarchy in self._hierarchies.values()}:
            os.close(directory)
        self._hierarchies.clear()
        if self._own_proc:
            os.close(self._proc)

    def steps(self, processes: Iterable[Process], at: float) -> Incremental[Cgroups]:
        """Return the groups of `processes` as of `at`; raise ReadError if no hierarchy is mounted."""
        self._turn = (self._turn + 1) % REREAD_EVERY
        self._find_mounts()
        members = {controller: defaultdict[str, list[Process]](list) for controller in _CONTROLLERS}
        known: dict[tuple[int, int], _KnownPaths] = {}
        for number, process in enumerate(processes, 1):
            if number % _PROCESSES_PER_STEP == 0:
                yield
            found = self._cached_paths(process)
            if found is not None:
                known[process.pid, process.start] = found
                for controller, path in found.paths:
                    members[controller][path].append(process)
        self._paths = known
        pids = yield from self._limited("pids", members)
        memory = yield from self._limited("memory", members)
        hidden = self._hidden()
        self._ancestors = (_ANCESTORS_HIDDEN,) if hidden else ()
        return Cgroups(at, tuple(map(_pids, pids)), tuple(map(_memory, memory)), hidden)

    def _limited(
        self, controller: str, members: Mapping[str, dict[str, list[Process]]]
    ) -> Incremental[list[_Limited]]:
        found = self._hierarchies.get(controller)
        return (yield from found.steps(members[controller])) if found else []

    def _cached_paths(self, process: Process) -> _KnownPaths | None:
        """Return the cgroups of a process; None if it has ended or cannot be read."""
        known = self._paths.get((process.pid, process.start))
        if known is not None and known.reads > _YOUNG_READS and process.pid % REREAD_EVERY != self._turn:
            return known
        try:
            paths = parse_cgroup_paths(proc_files.read(f"{process.pid}/cgroup", self._proc, 65536))
        except OSError:
            return None
        found = ((controller, path_of(controller, paths)) for controller in _CONTROLLERS)
        return _KnownPaths(
            tuple((controller, path) for controller, path in found if path is not None),
            known.reads + 1 if known else 1,
        )

    def _find_mounts(self) -> None:
        """Open the mount of each controller that is not open yet."""
        wanted = [controller for controller in _CONTROLLERS if controller not in self._hierarchies]
        if not wanted:
            return
        try:
            own = parse_cgroup_paths(proc_files.read("self/cgroup", self._proc, 65536))
            mounts = parse_mounts(self._mountinfo())
        except OSError as error:
            raise ReadError(READER, f"cannot read where they are mounted: {error.strerror}") from error
        missing = []
        for controller in wanted:
            mount = mount_of(controller, mounts, own)
            try:
                if mount is not None:
                    self._hierarchies[controller] = _Hierarchy(controller, mount, self._open_mount(mount))
                    continue
                reason = "is not mounted where sockmon runs"
            except OSError as error:
                reason = f"cannot be opened: {error.strerror}"
            text = f"the hierarchy with {controller} {reason}"
            missing.append(Missing(READER, text, controller, f"cgroups with a limit of {controller}"))
        self._unmounted = tuple(missing)
        if not self._hierarchies:
            self._unmounted = ()
            raise ReadError(READER, "no cgroup file system is mounted where sockmon runs")

    def _open_mount(self, mount: Mount) -> int | None:
        """Return the descriptor of a mount that another controller uses too; None if there is none."""
        opened = (each.directory for each in self._hierarchies.values() if each.mount.point == mount.point)
        return next(opened, None)

    def _mountinfo(self) -> bytes:
        descriptor = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        with open(descriptor, "rb") as file:
            return file.read()

    def _hidden(self) -> bool:
        """Return whether ancestors are hidden: in a cgroup namespace, or if only a part of a tree is mounted."""
        if any(hierarchy.mount.root != "/" for hierarchy in self._hierarchies.values()):
            return True
        try:
            return os.stat("self/ns/cgroup", dir_fd=self._proc).st_ino != INITIAL_NAMESPACE
        except OSError:
            return False


def _sum(failures: int | None, below: int) -> int | None:
    return failures + below if failures is not None else None


def _fullness(counted: CgroupUsage) -> float:
    return counted.current / max(counted.maximum or 0, 1)


def _path_text(path: str) -> str:
    return sanitize(os.fsencode(path), 1024)


def _pids(group: _Limited) -> PidsCgroup:
    current, maximum, inside = group.counted.current, group.counted.maximum or 0, group.inside
    return PidsCgroup(
        _path_text(group.path),
        current,
        maximum,
        group.failures,
        inside.largest,
        inside.processes,
        inside.common_name,
        inside.common_processes,
        inside.common_tasks,
    )


def _memory(group: _Limited) -> MemoryCgroup:
    counted, inside = group.counted, group.inside
    return MemoryCgroup(
        _path_text(group.path),
        counted.current,
        counted.maximum or 0,
        counted.reclaimable,
        counted.sockets,
        group.failures,
        inside.largest,
        inside.processes,
    )
