"""Whose cgroup it is: a container, a pod, a machine or a unit, as its runtime or systemd names the path.

Paths as Moby (daemon/oci_linux.go), containerd (internal/cri/server/helpers.go), nerdctl
(pkg/cmd/container/run_cgroup_linux.go), Podman (libpod/container_internal_linux.go), CRI-O
(internal/config/cgmgr), LXC (src/lxc/cgroups/cgfsng.c), systemd-machined (machine.c) and the kubelet
(pkg/kubelet/cm) make them, for the cgroup drivers cgroupfs and systemd.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.model.other_netns import CONTAINER, MACHINE, POD, UNIT

DOCKER, CRI_CONTAINERD, CRIO, PODMAN, NERDCTL, CONTAINERD, LXC, MACHINED, RUNC, CRUN = (
    *("docker", "cri-containerd", "cri-o", "podman", "nerdctl", "containerd", "lxc", "machined", "runc", "crun"),
)
ID = re.compile(r"[0-9a-f]{64}")
"""A container's id, of every runtime but LXC, machined, and runc or crun without an engine."""

_PREFIXES = {
    "docker": DOCKER,
    "cri-containerd": CRI_CONTAINERD,
    "crio": CRIO,
    "libpod": PODMAN,
    "libpod-payload": PODMAN,
    "nerdctl": NERDCTL,
}
_WITH_PREFIX = re.compile(rf"({'|'.join(_PREFIXES)})-([0-9a-f]{{64}})(?:\.scope)?")
_STANDALONE = re.compile(r"(runc|crun)-([\w+.-]+)\.scope", re.ASCII)
_LXC = re.compile(r"lxc\.payload\.(.+)")
_MACHINE = re.compile(r"machine-(.+)\.scope|systemd-nspawn@(.+)\.service")
_UID = r"[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}"
_POD = re.compile(rf"(?:kubepods-(?:burstable-|besteffort-)?)?pod({_UID})(?:\.slice)?")
_KUBEPODS = re.compile(r"kubepods(\.slice|-.+\.slice)?")
_USER = re.compile(r"user-(\d{1,10})\.slice")
_MANAGER = re.compile(r"user@\d+\.service")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


class CgroupOwner(NamedTuple):
    """Whose cgroup it is."""

    kind: str
    """CONTAINER, POD, MACHINE or UNIT."""
    runtime: str
    """Which runtime made it: one of the words above; empty if the path does not show it, or it is a unit."""
    id: str
    """The 64 digits of the container; the name of a container of LXC or of runc alone, of the unit of a machine,
    or of a unit. Empty for a pod in which no container is named."""
    pod: str = ""
    """The uid of the pod, with dashes."""
    user: int | None = None
    """The user whose runtime it is, if it is a rootless one under systemd."""
    namespace: str = ""
    """Of containerd, if the path has it."""

    @property
    def contains(self) -> bool:
        """Return whether it is more than a unit: a container, a pod or a machine."""
        return self.kind != UNIT


def owner_of_cgroup(path: str) -> CgroupOwner | None:
    """Return the owner of a cgroup's `path`, the innermost container if they are nested; None: unknown."""
    parts = [part for part in path.split("/") if part]
    for place in range(len(parts) - 1, -1, -1):
        if found := _container(parts[: place + 1]):
            return found._replace(user=_user(parts[:place]))
    return _unit(parts)


def _container(parts: Sequence[str]) -> CgroupOwner | None:
    """Return the container, pod or machine whose cgroup ends exactly here."""
    part, parent, pod = parts[-1], parts[-2] if len(parts) > 1 else "", _pod(parts)
    kind = POD if pod else CONTAINER
    if found := _WITH_PREFIX.fullmatch(part):
        return CgroupOwner(kind, _PREFIXES[found[1]], found[2], pod)
    if ID.fullmatch(part):
        runtime = "" if pod else DOCKER if parent == "docker" else ""
        return CgroupOwner(kind, runtime, part, pod, namespace="" if runtime or len(parts) > 2 else parent)
    # Without an engine, below a systemd that is asked for a cgroup.
    if found := _STANDALONE.fullmatch(part):
        return CgroupOwner(kind, found[1], found[2], pod)
    if found := _LXC.fullmatch(part):
        return CgroupOwner(CONTAINER, LXC, found[1])
    # LXC before 4.0, in a hierarchy of v1.
    if parent == "lxc":
        return CgroupOwner(CONTAINER, LXC, part)
    if found := _MACHINE.fullmatch(part):
        return CgroupOwner(MACHINE, MACHINED, part)
    return CgroupOwner(POD, "", "", pod) if _POD.fullmatch(part) and pod else None


def _pod(parts: Sequence[str]) -> str:
    """Return the uid of the innermost pod of the kubelet; that of a static pod is a hash without dashes."""
    if not any(map(_KUBEPODS.fullmatch, parts)):
        return ""
    found = next(filter(None, map(_POD.fullmatch, reversed(parts))), None)
    return found[1].replace("_", "-") if found else ""


def _user(parts: Sequence[str]) -> int | None:
    found = next(filter(None, map(_USER.fullmatch, parts)), None)
    return int(found[1]) if found else None


def _unit(parts: Sequence[str]) -> CgroupOwner | None:
    """Return the innermost service; scopes are logins and desktop applications, and their names say little."""
    # systemd puts a `_` before a name that could be a file of the cgroup.
    names = [part.removeprefix("_") for part in parts if part.endswith(".service")]
    own = [name for name in names if not _MANAGER.fullmatch(name)]
    return CgroupOwner(UNIT, "", own[-1], user=_user(parts)) if own else None


def machine_of_unit(unit: str) -> str:
    """Return the machine in `machine-NAME.scope` or `systemd-nspawn@NAME.service`; systemd escapes it there."""
    found = _MACHINE.fullmatch(unit)
    name = (found[1] or found[2]) if found else unit
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name.replace("-", "/"))
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")
