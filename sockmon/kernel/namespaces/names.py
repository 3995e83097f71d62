"""What people call a network namespace: the container, pod, machine or unit whose processes are in it, or the name
that ip-netns(8) has for it.

The oldest process decides: that of the container that made the namespace, or of the pod. All is read again each
time, from the process itself, so that a reused pid or inode never gets the name of another one.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.namespaces.cgroup_owner import CRUN, LXC, PODMAN, RUNC, CgroupOwner, owner_of_cgroup
from sockmon.kernel.namespaces.container_names import read_container
from sockmon.kernel.namespaces.discovery import FoundNetns, P
from sockmon.kernel.namespaces.machine_names import read_lxc, read_machine
from sockmon.kernel.namespaces.nsfs_mounts import given_name
from sockmon.kernel.namespaces.pod_names import read_pod
from sockmon.kernel.namespaces.standalone import standalone_owner
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.kernel.processes import proc_files
from sockmon.model.other_netns import CONTAINER, HOST, MACHINE, NAMED, POD, UNIT, NetnsName
from sockmon.text import sanitize

MAX_ASKED = 4
"""Processes of a namespace, the oldest first, whose cgroup is read until one is in a container."""
_CGROUP_BYTES = 16384
_NAME_LENGTH = 128
_SHORT_ID = 12
_INFRA = re.compile(r"[0-9a-f]{12}-infra")
"""What Podman calls the container that only holds a pod's namespaces (pkg/specgen/generate/pod_create.go): its
other containers have the names that people gave."""


class Named(NamedTuple):
    """What a namespace is called, and what `--netns` takes for it: empty if only a pid or path will do."""

    called: NetnsName | None
    argument: str


class NamespaceNames:
    """Names network namespaces; `proc` is a descriptor of /proc, `files` reads the state of runtimes."""

    def __init__(self, proc: int, files: StateFiles) -> None:
        self._proc = proc
        self._files = files

    def close(self) -> None:
        """Close what reads the state files."""
        self._files.close()

    def name(self, found: FoundNetns[P]) -> Named:
        """Return what a namespace is called; None if there is nothing but its processes."""
        if any(row.pid == 1 for row in found.processes):
            return Named(NetnsName(HOST, HOST), "1")
        owned = self._owner(found)
        if found.mounts and (owned is None or (given_name(found.mounts[0]) and not owned[1].contains)):
            return _mounted(found)
        if owned is None:
            return Named(None, "")
        called = self.name_of(owned[1])
        if called.runtime == PODMAN and _INFRA.fullmatch(called.name):
            owned = self._owner(found, owned[1]) or owned
            called = self.name_of(owned[1])
        # A process of a container may have made a namespace of its own, which has no name.
        inner = self._owner_of_parent(owned[0].pid) == owned[1]
        return Named(called, "" if inner else _argument(called))

    def name_of(self, owner: CgroupOwner) -> NetnsName:
        """Return what the owner of a cgroup is called."""
        if owner.kind == UNIT:
            return NetnsName(UNIT, _clean(owner.id))
        if owner.kind == MACHINE:
            return NetnsName(MACHINE, _clean(read_machine(owner.id, self._files)), owner.runtime)
        if owner.runtime == LXC:
            runtime, name = read_lxc(owner.id, self._files)
            return NetnsName(CONTAINER, _clean(name), runtime)
        if owner.runtime in (RUNC, CRUN):
            return NetnsName(CONTAINER, _clean(owner.id), owner.runtime, owner.id)
        return self._pod(owner) if owner.kind == POD else self._container(owner)

    def owner_of(self, pid: int) -> CgroupOwner | None:
        """Return the owner of the cgroup of a process; None if the path shows none, or cannot be read."""
        with suppress(OSError):
            return self._read_owner(f"{pid}/cgroup", self._proc)
        return None

    def _owner(self, found: FoundNetns[P], other_than: CgroupOwner | None = None) -> tuple[P, CgroupOwner] | None:
        """Return the oldest process with an owner, in a container if any of the oldest is."""
        unit: tuple[P, CgroupOwner] | None = None
        for row in sorted(found.processes, key=lambda row: (row.start, row.pid))[:MAX_ASKED]:
            owner = self.owner_in(row.pid, found)
            if owner is not None and owner.contains and owner != other_than:
                return row, owner
            if owner is not None and unit is None and not owner.contains:
                unit = row, owner
        return unit if other_than is None else None

    def owner_in(self, pid: int, found: FoundNetns[P]) -> CgroupOwner | None:
        """Return the owner of a process, if it still is in the namespace; the pid cannot be reused meanwhile."""
        try:
            process = os.open(str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            return None
        try:
            inode = netns_inode("ns/net", process) if found.inode else proc_net_inode(".", process)
            if inode != (found.inode or found.proc_inode):
                return None
            return self._read_owner("cgroup", process)
        except OSError:
            return None
        finally:
            os.close(process)

    def _owner_of_parent(self, pid: int) -> CgroupOwner | None:
        with suppress(OSError, ValueError, IndexError):
            stat = proc_files.read(f"{pid}/stat", self._proc)
            return self._read_owner(f"{int(stat.rpartition(b') ')[2].split()[1])}/cgroup", self._proc)
        return None

    def _read_owner(self, path: str, directory: int) -> CgroupOwner | None:
        paths = proc_files.parse_cgroup_paths(proc_files.read(path, directory, _CGROUP_BYTES))
        # On a hybrid host some hierarchies have the container, and others only the root.
        owners = [owner for owner in map(owner_of_cgroup, dict.fromkeys(paths.values())) if owner is not None]
        contained = next((owner for owner in owners if owner.contains), None)
        return contained or standalone_owner(paths.values(), self._files) or (owners[0] if owners else None)

    def _pod(self, owner: CgroupOwner) -> NetnsName:
        try:
            return NetnsName(POD, _clean(read_pod(owner.pod, self._files)), owner.runtime, owner.id)
        except ReadError as error:
            reason = error.message
        if owner.id:
            try:
                state = read_container(owner, self._files)
            except ReadError as error:
                reason = error.message
            else:
                if state.pod:
                    return NetnsName(POD, _clean(state.pod), state.runtime, owner.id)
        return NetnsName(POD, owner.pod, owner.runtime, owner.id, reason)

    def _container(self, owner: CgroupOwner) -> NetnsName:
        short = owner.id[:_SHORT_ID]
        try:
            state = read_container(owner, self._files)
        except ReadError as error:
            return NetnsName(CONTAINER, short, owner.runtime, owner.id, error.message)
        if state.pod:
            return NetnsName(POD, _clean(state.pod), state.runtime, owner.id)
        reason = "" if state.name else f"{state.runtime} gives it no name"
        return NetnsName(CONTAINER, _clean(state.name or short), state.runtime, owner.id, reason)


def _mounted(found: FoundNetns[P]) -> Named:
    point = found.mounts[0]
    called = NetnsName(NAMED, sanitize(given_name(point) or point, _NAME_LENGTH))
    if given_name(point):
        return Named(called, _argument(called))
    # A name that is not shown as it is cannot be typed either.
    return Named(called, "" if found.processes or called.name != point else point)


def _argument(called: NetnsName) -> str:
    """Return the name if `--netns` takes it for this namespace and for nothing else."""
    name = called.name
    changed = "\N{REPLACEMENT CHARACTER}" in name or name.endswith("…")
    return called.container if changed or name.isdecimal() or name.startswith(("-", "/", ".")) else name


def _clean(name: str) -> str:
    return sanitize(name, _NAME_LENGTH)
