"""Containers of runc or crun that no engine manages, known by the state files of these runtimes.

Their cgroup has the name of the container and nothing else (runc, libcontainer/specconv; crun, libcrun/cgroup.c).
So a state file has to confirm it: runc's state.json has the cgroup in each hierarchy, crun's status has its path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from sockmon.errors import ReadError
from sockmon.kernel.namespaces.cgroup_owner import CRUN, RUNC, CgroupOwner
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.model.other_netns import CONTAINER

RUNC_ROOT, CRUN_ROOT = "/run/runc", "/run/crun"
"""Of root; a container of an engine is there too, or below the engine's own directory."""
_NAME = re.compile(r"[\w+.-]+", re.ASCII)
_UNIT_SUFFIXES = (".service", ".scope", ".slice")


class _RuncState(msgspec.Struct):
    id: str
    cgroup_paths: dict[str, str] | None = None


class _CrunStatus(msgspec.Struct):
    cgroup_path: str = msgspec.field(default="", name="cgroup-path")


def standalone_owner(paths: Iterable[str], files: StateFiles) -> CgroupOwner | None:
    """Return the container that has one of the cgroups `paths` of a process; None if none has, or a user may not
    know."""
    for path in dict.fromkeys(paths):
        for name, cgroup in _candidates(path):
            for runtime in (RUNC, CRUN):
                if _has(runtime, name, cgroup, files):
                    return CgroupOwner(CONTAINER, runtime, name)
    return None


def _candidates(path: str) -> Iterator[tuple[str, str]]:
    """Yield each part of the path that can be a container, the innermost first, and the cgroup that it names."""
    parts = [part for part in path.split("/") if part]
    for end in range(len(parts), 0, -1):
        name = parts[end - 1]
        if _NAME.fullmatch(name) and name not in (".", "..") and not name.endswith(_UNIT_SUFFIXES):
            yield name, "/" + "/".join(parts[:end])


def _has(runtime: str, name: str, cgroup: str, files: StateFiles) -> bool:
    try:
        if runtime == RUNC:
            state = files.decode(f"{RUNC_ROOT}/{name}/state.json", _RuncState)
            return state.id == name and any(
                _is_path_of(found, cgroup) for found in (state.cgroup_paths or {}).values()
            )
        return _is_path_of(files.decode(f"{CRUN_ROOT}/{name}/status", _CrunStatus).cgroup_path, cgroup)
    except ReadError:
        return False


def _is_path_of(found: str, cgroup: str) -> bool:
    """Return whether a path in a state file, below a mount point or not, is that of the cgroup."""
    return f"/{found.lstrip('/')}".endswith(cgroup)
