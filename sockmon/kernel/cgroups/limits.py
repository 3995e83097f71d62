"""One limit of one cgroup, to read it and to write it: pids.max, memory.max, memory.high, with v2 and v1
(kernel/cgroup/pids.c, mm/memcontrol.c)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.cgroups.cgroups import INITIAL_NAMESPACE
from sockmon.kernel.cgroups.files import READER, V1_NO_LIMIT
from sockmon.kernel.cgroups.mounts import Mount, mount_of, parse_mounts, path_of
from sockmon.kernel.integers import is_count
from sockmon.kernel.processes.proc_files import PROC, parse_cgroup_paths
from sockmon.model.cgroup_limit import AncestorLimit, CgroupLimit

NO_LIMIT = "max"
"""How v2 writes that there is no limit."""


class _Names(NamedTuple):
    """The files of one limit."""

    controller: str
    unified: str
    legacy: str
    """Empty if v1 has no such limit: its memory.soft_limit_in_bytes is something else."""
    used: str
    used_legacy: str


_NAMES = {
    "pids.max": _Names("pids", "pids.max", "pids.max", "pids.current", "pids.current"),
    "memory.max": _Names(
        "memory", "memory.max", "memory.limit_in_bytes", "memory.current", "memory.usage_in_bytes"
    ),
    "memory.high": _Names("memory", "memory.high", "", "memory.current", "memory.usage_in_bytes"),
}
CGROUP_KEYS = tuple(_NAMES)


class LimitFile(NamedTuple):
    """The file of a limit."""

    directory: str
    """The cgroup below its mount point: `/sys/fs/cgroup/system.slice/nginx.service`."""
    name: str
    unified: bool
    hidden: bool
    """Whether cgroups above are not visible."""
    ancestors: tuple[tuple[str, str], ...]
    """Path and directory of each visible cgroup above, the nearest first."""

    @property
    def file(self) -> str:
        """The whole name."""
        return f"{self.directory}/{self.name}"


class ReadLimit(NamedTuple):
    """A limit as it was read."""

    value: str
    """A number, or `max`."""
    inode: int
    """Of the directory: it tells the cgroup from a later one with the same path."""
    limit: CgroupLimit


def find_limit_file(key: str, path: str, proc: str = PROC) -> LimitFile:
    """Return where the limit `key` of the cgroup `path` is; raise NotPresent, or ReadError."""
    names = _NAMES[key]
    try:
        with open(f"{proc}/self/cgroup", "rb") as own, open(f"{proc}/self/mountinfo", "rb") as mounts:
            mount = mount_of(names.controller, parse_mounts(mounts.read()), parse_cgroup_paths(own.read()))
    except OSError as error:
        raise ReadError(READER, f"cannot read where cgroups are mounted: {error.strerror}") from error
    if mount is None:
        raise NotPresent(READER, f"no hierarchy with {names.controller} is mounted here")
    below = mount.below(path) if is_path(path) else None
    if below is None:
        raise NotPresent(READER, "no such cgroup is visible here")
    name = names.unified if mount.unified else names.legacy
    if not name:
        raise NotPresent(READER, f"cgroup v1 has no {key}")
    above = [each for each in mount.chain(path) if each != path]
    hidden = mount.root != "/" or not in_initial_namespace(proc)
    directories = tuple((each, _directory(mount, each)) for each in above)
    return LimitFile(_directory(mount, path), name, mount.unified, hidden, directories)


def read_limit(key: str, path: str, proc: str = PROC) -> ReadLimit:
    """Return the limit `key` of the cgroup `path`, and what is known about it; raise NotPresent, or ReadError."""
    place = find_limit_file(key, path, proc)
    names = _NAMES[key]
    if path == "/" and not place.hidden:
        # It has no such files (CFTYPE_NOT_ON_ROOT), or writing them is EINVAL (mm/memcontrol-v1.c).
        raise NotPresent(READER, "the root cgroup takes no limit")
    try:
        inode = os.stat(place.directory).st_ino
        value = parse_limit(_read(place.file))
    except FileNotFoundError as error:
        missing = "its controller is not enabled there" if os.path.isdir(place.directory) else "no such cgroup"
        raise NotPresent(READER, missing) from error
    except OSError as error:
        raise ReadError(READER, f"cannot be read: {error.strerror}") from error
    used = names.used if place.unified else names.used_legacy
    maximum = _number(f"{place.directory}/memory.max") if key == "memory.high" else None
    above = ((name, _number(f"{directory}/{place.name}")) for name, directory in place.ancestors)
    ancestors = tuple(AncestorLimit(name, limit) for name, limit in above if limit is not None)
    found = CgroupLimit(place.file, _number(f"{place.directory}/{used}"), ancestors, place.hidden, maximum)
    return ReadLimit(value, inode, found)


def cgroup_of_process(key: str, pid: int, proc: str = PROC) -> str:
    """Return the path of the cgroup of a process for the limit `key`; raise ReadError."""
    try:
        with open(f"{proc}/{pid}/cgroup", "rb") as file:
            path = path_of(_NAMES[key].controller, parse_cgroup_paths(file.read(65536)))
    except OSError as error:
        raise ReadError(READER, f"the cgroup of process {pid} cannot be read: {error.strerror}") from error
    if path is None:
        raise NotPresent(READER, f"process {pid} has no cgroup with {_NAMES[key].controller}")
    return path


def parse_limit(text: bytes) -> str:
    """Return a limit as a number or `max`, as v2 writes it; raise ReadError."""
    value = text.strip()
    if value == b"max" or (is_count(value) and int(value) >= V1_NO_LIMIT):
        return NO_LIMIT
    if not is_count(value):
        raise ReadError(READER, "expected a number in a file of a cgroup")
    return str(int(value))


def format_limit(value: str, unified: bool, key: str) -> bytes:
    """Return what is written to the file: v1 takes -1 for no limit of memory."""
    no_limit = "-1" if key != "pids.max" and not unified else NO_LIMIT
    return f"{no_limit if value == NO_LIMIT else value}\n".encode("ascii")


def is_path(path: str) -> bool:
    """Return whether `path` is one of a cgroup, from its root, without a way out of it."""
    parts = path[1:].split("/")
    return path == "/" or (path.startswith("/") and not any(part in ("", ".", "..") for part in parts))


def in_initial_namespace(proc: str = PROC) -> bool:
    """Return whether this process is in the initial cgroup namespace, and so sees the cgroups of the host."""
    with suppress(OSError):
        return os.stat(f"{proc}/self/ns/cgroup").st_ino == INITIAL_NAMESPACE
    return False


def _directory(mount: Mount, path: str) -> str:
    below = mount.below(path)
    return mount.point if below in (None, ".") else f"{mount.point}/{below}"


def _number(file: str) -> int | None:
    """Return a number in a file; None for `max`, and if it cannot be read."""
    try:
        value = parse_limit(_read(file))
    except (OSError, ReadError):
        return None
    return None if value == NO_LIMIT else int(value)


def _read(file: str) -> bytes:
    with open(file, "rb", buffering=0) as opened:
        return opened.read(256)
