"""A host of containers: cgroups and state files as runtimes write them, so that processes have their names.

The state files are below /run, behind an empty tmpfs of the lab's mount namespace. Docker and LXC keep theirs
below /var and are left out. Without a writable cgroup, as for most users, each namespace is mounted in /run/netns
with a name of ip-netns(8) instead; without mounts of its own a lab has no names at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sockmon.errors import LabUnavailable
from sockmon.sandbox import namespaces
from sockmon.sandbox.builder import LabBuilder, LabCgroup

PODMAN, NERDCTL, POD, CRIO_POD, NAMED = "podman", "nerdctl", "pod", "cri-o pod", "ip netns"
RUNTIMES = (PODMAN, POD, NERDCTL, CRIO_POD, NAMED)
POD_NAMESPACE = "shop"
_STORAGE = "/run/containers/storage/overlay-containers"
_TASKS = "/run/containerd/io.containerd.runtime.v2.task"


class Home(NamedTuple):
    """Where a container is to live: its processes join the cgroup first."""

    name: str
    mount: str
    """Where its network namespace is mounted; empty if no name depends on that."""
    cgroup: LabCgroup | None

    def join(self) -> None:
        """Move this process into the cgroup of the container."""
        if self.cgroup is not None:
            self.cgroup.join()

    def attach(self, pid: int) -> None:
        """Finish with the container's first process, which has entered its network namespace."""
        if self.cgroup is not None:
            os.close(self.cgroup.procs_fd)
        if self.mount:
            namespaces.mount_netns(pid, self.mount)


class ContainerHost:
    """Makes homes for containers of every runtime in RUNTIMES."""

    def __init__(self, builder: LabBuilder) -> None:
        self._builder = builder
        self._podman: list[dict[str, object]] = []
        self._cgroups = True
        self.names = builder.isolated
        """Whether containers have names: the lab may have no mounts of its own."""
        if self.names:
            namespaces.mount_empty("/run")

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Which of RUNTIMES are reproduced here so far."""
        return () if not self.names else RUNTIMES if self._cgroups else (NAMED,)

    def home(self, name: str, runtime: str) -> Home:
        """Return the home of a new container; `name` is that of the pod, if it is one."""
        if not self.names:
            return Home(name, "", None)
        if runtime == NAMED or not self._cgroups:
            return Home(name, f"/run/netns/{name}", None)
        digest = hashlib.sha256(name.encode()).hexdigest()
        uid = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
        try:
            group = self._builder.cgroup("pids", _cgroup_path(runtime, digest, uid))
        except LabUnavailable:
            self._cgroups = False
            return self.home(name, NAMED)
        if runtime == PODMAN:
            self._podman.append({"id": digest, "names": [name], "image": "", "layer": digest[:12]})
        else:
            _write(
                _bundle_path(runtime, digest), {"ociVersion": "1.2.0", "annotations": _labels(runtime, name, uid)}
            )
        # The runtimes of pods keep the namespace at a mount with a made-up name.
        mount = f"/run/netns/cni-{uid}" if runtime in (POD, CRIO_POD) else ""
        return Home(f"{POD_NAMESPACE}/{name}" if mount else name, mount, group)

    def finish(self) -> None:
        """Write the list of Podman, which is one file for all."""
        if self._podman:
            _write(f"{_STORAGE}/volatile-containers.json", self._podman)


def _cgroup_path(runtime: str, digest: str, uid: str) -> str:
    """Return the path as the runtime names it: kernel/namespaces/cgroup_owner.py has their sources."""
    return {
        PODMAN: f"libpod_parent/libpod-{digest}",
        NERDCTL: f"system.slice/nerdctl-{digest}.scope",
        POD: f"kubepods/besteffort/pod{uid}/{digest}",
        CRIO_POD: f"kubepods/besteffort/pod{uid}/crio-{digest}",
    }[runtime]


def _bundle_path(runtime: str, digest: str) -> str:
    if runtime == CRIO_POD:
        return f"{_STORAGE}/{digest}/userdata/config.json"
    return f"{_TASKS}/{'k8s.io' if runtime == POD else 'default'}/{digest}/config.json"


def _labels(runtime: str, name: str, uid: str) -> dict[str, str]:
    if runtime == NERDCTL:
        return {"nerdctl/name": name, "nerdctl/namespace": "default"}
    prefix, names = ("io.kubernetes.pod.", "namespace name uid")
    if runtime == POD:
        prefix, names = "io.kubernetes.cri.sandbox-", "namespace name uid"
    return dict(zip((prefix + each for each in names.split()), (POD_NAMESPACE, name, uid), strict=True))


def _write(path: str, content: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))


def runtimes_in_turn() -> Iterator[str]:
    """Yield the runtimes of RUNTIMES again and again."""
    while True:
        yield from RUNTIMES
