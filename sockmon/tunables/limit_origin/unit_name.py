"""The unit or the container that the path of a cgroup names (systemd.unit(5), src/basic/cgroup-util.c). Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

USER_PREFIX = "--user "
"""Prefix of a unit of a user's service manager, as systemctl takes it."""
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(?:service|scope)")
_MANAGER = re.compile(r"user@([0-9]+)\.service")
_CONTAINER = re.compile(
    r"(docker|libpod|cri-containerd|crio|machine|nerdctl)-.+|systemd-nspawn@.+|kubepods([.-].*)?|lxc(\.payload.*)?"
    r"|[0-9a-f]{64}"
)
"""Cgroups of containers: the units below them are not units of this host."""
_ENGINES = (
    (re.compile(r"docker(?:-(?P<id>[0-9a-f]+)\.scope)?"), "docker"),
    (re.compile(r"libpod(?:-(?P<id>[0-9a-f]+)(?:\.scope)?|_parent)"), "podman"),
    (re.compile(r"(?:cri-containerd|crio)-(?P<id>[0-9a-f]+)\.scope"), "kubernetes"),
    (re.compile(r"kubepods(?:[.-].*)?"), "kubernetes"),
    (re.compile(r"nerdctl-(?P<id>[0-9a-f]+)\.scope"), "containerd"),
    (re.compile(r"lxc(?:\.payload)?(?:\.(?P<id>.+))?"), "lxc"),
    (re.compile(r"systemd-nspawn@(?P<id>.+)\.service|machine-(?P<scope>.+)\.scope"), "systemd-nspawn"),
)
_ID = re.compile(r"[0-9a-f]{64}")


class Container(NamedTuple):
    """A container by the path of its cgroup."""

    engine: str
    """docker, podman, kubernetes, containerd, lxc or systemd-nspawn; `container` if the path does not show it."""
    id: str
    """Its id or name; empty if the path does not have it."""


def unit_of_cgroup(path: str) -> str:
    """Return the unit of a cgroup: `/system.slice/nginx.service/worker` → `nginx.service`, or `--user x.service`;
    for a container without a unit its cgroup, `kubepods`."""
    # systemd puts a `_` before a name that could be a file of the cgroup.
    parts = [part.removeprefix("_") for part in path.split("/")]
    outer = next((place for place, part in enumerate(parts) if _CONTAINER.fullmatch(part)), None)
    if outer is not None and not _UNIT.fullmatch(parts[outer]):
        return next((part for part in parts[:outer] if _UNIT.fullmatch(part)), parts[outer])
    units = [part for part in parts[: None if outer is None else outer + 1] if _UNIT.fullmatch(part)]
    own = [unit for unit in units if not _MANAGER.fullmatch(unit)]
    if not own:
        return units[0] if units else ""
    return f"{USER_PREFIX if len(own) < len(units) else ''}{own[0]}"


def manager_uid(path: str) -> int | None:
    """Return the uid of the user whose service manager has this cgroup; None if it is in none."""
    match = next(filter(None, map(_MANAGER.fullmatch, path.split("/"))), None)
    return int(match[1]) if match else None


def container_of_cgroup(path: str) -> Container | None:
    """Return the outermost container of a cgroup; None outside of containers."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if not _CONTAINER.fullmatch(part):
            continue
        for pattern, engine in _ENGINES:
            if match := pattern.fullmatch(part):
                groups = match.groupdict()
                found = groups.get("id") or groups.get("scope") or ""
                return Container(engine, found or _id_below(parts[place + 1 :], engine))
        # The cgroupfs driver of docker makes /docker/ID.
        return Container("docker" if parts[place - 1] == "docker" else "container", part)
    return None


def _id_below(parts: list[str], engine: str) -> str:
    """Return the id of `/docker/ID`, `/lxc/NAME` and `/kubepods.slice/…/cri-containerd-ID.scope`."""
    if engine == "lxc":
        return parts[0] if parts else ""
    for part in parts:
        if _ID.fullmatch(part):
            return part
        match = re.fullmatch(r"[a-z-]+-([0-9a-f]{64})\.scope", part)
        if match:
            return match[1]
    return ""
