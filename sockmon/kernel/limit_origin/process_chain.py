"""A process and its parents, with the limits and the cgroup of each (/proc/PID/stat, limits, cgroup)."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field

from sockmon.errors import ReadError
from sockmon.kernel.processes import proc_files, rlimits
from sockmon.model.detail import Limit
from sockmon.model.limit_origin import Resource
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.limit_value import NAMES
from sockmon.tunables.limit_origin.unit_name import container_of_cgroup, unit_of_cgroup

_MAX_PARENTS = 64
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Link:
    """One process of the chain."""

    pid: int
    start: int
    name: str
    parent: int
    uid: int
    cgroup: str
    limits: tuple[Limit, ...]
    proc: str = field(repr=False)

    @property
    def unit(self) -> str:
        """The systemd unit; empty if it has none."""
        return unit_of_cgroup(self.cgroup)

    @property
    def label(self) -> str:
        """`nginx[1044]`."""
        return f"{self.name}[{self.pid}]"

    @property
    def in_container(self) -> bool:
        """Whether its cgroup is that of a container."""
        return container_of_cgroup(self.cgroup) is not None

    def limit(self, resource: Resource) -> tuple[int, int] | None:
        """Return soft and hard; None if they could not be read."""
        row = next((row for row in self.limits if row.name == NAMES[resource].proc), None)
        return (row.soft, row.hard) if row else None

    @property
    def arguments(self) -> list[str]:
        """The command line; empty if it cannot be read."""
        with suppress(OSError), open(f"{self.proc}/{self.pid}/cmdline", "rb", buffering=0) as file:
            return os.fsdecode(file.read(4096)).rstrip("\0").split("\0")
        return []

    @property
    def directory(self) -> str:
        """The working directory; empty if it may not be read."""
        with suppress(OSError):
            return os.readlink(f"{self.proc}/{self.pid}/cwd")
        return ""


def read_chain(pid: int, proc: str = proc_files.PROC) -> list[Link]:
    """Return the process and its parents, the process first; empty if it has ended. It ends early at a parent
    that is not visible."""
    found: list[Link] = []
    while pid > 0 and len(found) < _MAX_PARENTS:
        link = _read_link(pid, proc)
        if link is None:
            break
        found.append(link)
        pid = link.parent
    return found


def unit_of_process(pid: int, proc: str | os.PathLike[str] = proc_files.PROC) -> str:
    """Return the systemd unit of the process by its cgroup, `nginx.service`; empty if it has none or has ended."""
    return unit_of_cgroup(cgroup_of_process(pid, proc))


def cgroup_of_process(pid: int, proc: str | os.PathLike[str] = proc_files.PROC) -> str:
    """Return the cgroup that systemd made for the process; empty if it has none or has ended."""
    try:
        paths = proc_files.parse_cgroup_paths(_read(f"{os.fspath(proc)}/{pid}/cgroup"))
    except OSError:
        return ""
    return paths.get("name=systemd") or paths.get("", "")


def _read_link(pid: int, proc: str) -> Link | None:
    try:
        stat = _read(f"{proc}/{pid}/stat")
        status = _read(f"{proc}/{pid}/status")
        cgroup = _read(f"{proc}/{pid}/cgroup")
        limits = rlimits.parse(_read(f"{proc}/{pid}/limits"))
        found = proc_files.parse_stat(stat)
        parent = int(stat.rpartition(b") ")[2].split(None, 2)[1])
        uid = proc_files.parse_status(status).uid
    except (OSError, ValueError, IndexError, ReadError):
        return None
    paths = proc_files.parse_cgroup_paths(cgroup)
    path = paths.get("name=systemd") or proc_files.main_cgroup(paths)
    if path == "/":
        path = proc_files.main_cgroup(paths)
    return Link(pid, found.start, found.name, parent, uid, sanitize(os.fsencode(path), 1024), limits, proc)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(_MAX_BYTES)
