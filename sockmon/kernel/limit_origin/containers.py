"""What a container engine gives its containers: config.json of the container, the default of the engine, LXC.

Docker adds default-ulimits of daemon.json to the HostConfig of a container when it is created, for each limit
that the container does not set (daemon/oci_linux.go, mergeUlimits). Podman sets nofile and nproc to 1,048,576, or
to what default_ulimits of containers.conf says. A runtime leaves a limit that config.json does not have as its
own start left it: that is the unit of containerd, docker or CRI-O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.model.limit_origin import LimitSource, Resource
from sockmon.model.snapshot import UNLIMITED
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.limit_value import NAMES
from sockmon.tunables.limit_origin.unit_name import Container

DAEMON_JSON = "/etc/docker/daemon.json"
CONTAINERS_CONF = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")
_CONTAINERS_FOLDERS = ("/usr/share/containers/containers.conf.d", "/etc/containers/containers.conf.d")
_BUNDLES = {
    "docker": ("/run/containerd/io.containerd.runtime.v2.task/moby/{id}/config.json",),
    "containerd": ("/run/containerd/io.containerd.runtime.v2.task/default/{id}/config.json",),
    "kubernetes": (
        "/run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/config.json",
        "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/config.json",
        "/run/containers/storage/overlay-containers/{id}/userdata/config.json",
    ),
    "podman": ("/var/lib/containers/storage/overlay-containers/{id}/userdata/config.json",),
}
_LXC = ("/var/lib/lxc/{id}/config",)
_ULIMIT = re.compile(r"[\"']?(nofile|nproc|memlock)=(-?[0-9]+)(?::(-?[0-9]+))?[\"']?")


def container_limit(files: ConfigFiles, container: Container, resource: Resource) -> LimitSource | None:
    """Return what the settings of the container give; None if they leave the limit alone, or cannot be read."""
    if container.engine == "lxc":
        return _lxc(files, container, resource)
    if not container.id:
        return None
    for pattern in _BUNDLES.get(container.engine, ()):
        name = pattern.format(id=container.id)
        if (found := _oci(files, name, resource)) is not None:
            return _engine_default(files, container, resource, found) or found
    return None


def engine_default(files: ConfigFiles, engine: str, resource: Resource) -> LimitSource | None:
    """Return the default of the engine for its containers, where a file sets one."""
    if engine == "docker":
        return _docker_default(files, resource)
    return _podman_default(files, resource) if engine == "podman" else None


def _engine_default(
    files: ConfigFiles, container: Container, resource: Resource, given: LimitSource
) -> LimitSource | None:
    """Return the default of the engine if it gives what the container has, and the container asked for nothing
    else."""
    found = engine_default(files, container.engine, resource)
    same = found is not None and (found.soft, found.hard) == (given.soft, given.hard)
    if found is None or not same:
        return None
    return found


def _oci(files: ConfigFiles, name: str, resource: Resource) -> LimitSource | None:
    content = _json(files, name)
    process = content.get("process") if isinstance(content, dict) else None
    limits = process.get("rlimits") if isinstance(process, dict) else None
    for each in limits if isinstance(limits, list) else ():
        if isinstance(each, dict) and each.get("type") == NAMES[resource].oci:
            soft, hard = _number(each.get("soft")), _number(each.get("hard"))
            text = f"{NAMES[resource].oci} {each.get('soft')}:{each.get('hard')}"
            return LimitSource("container", "", sanitize(name, 4096), 0, sanitize(text, 100), soft, hard)
    return None


def _docker_default(files: ConfigFiles, resource: Resource) -> LimitSource | None:
    content = _json(files, DAEMON_JSON)
    limits = content.get("default-ulimits") if isinstance(content, dict) else None
    each = limits.get(resource) if isinstance(limits, dict) else None
    if not isinstance(each, dict):
        return None
    by_name = {str(key).lower(): value for key, value in each.items()}
    soft, hard = _number(by_name.get("soft")), _number(by_name.get("hard"))
    text = f"default-ulimits: {resource}={by_name.get('soft')}:{by_name.get('hard')}"
    line = _line_of(files, DAEMON_JSON, f'"{resource}"')
    return LimitSource("engine", "docker", DAEMON_JSON, line, sanitize(text, 100), soft, hard)


def _podman_default(files: ConfigFiles, resource: Resource) -> LimitSource | None:
    found = None
    for name in (*CONTAINERS_CONF, *_conf_folders(files)):
        for number, line in _default_ulimits(files.lines(name) or ()):
            for match in _ULIMIT.finditer(line):
                if match[1] == resource:
                    soft, hard = _number(int(match[2])), _number(int(match[3] or match[2]))
                    text = f"default_ulimits: {match[0].strip(chr(34) + chr(39))}"
                    found = LimitSource("engine", "podman", name, number, text, soft, hard)
    return found


def _conf_folders(files: ConfigFiles) -> Iterator[str]:
    for folder in _CONTAINERS_FOLDERS:
        yield from (f"{folder}/{name}" for name in files.names(folder) if name.endswith(".conf"))


def _default_ulimits(lines: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield the lines of the list `default_ulimits = [...]`."""
    inside = False
    for number, raw in enumerate(lines, 1):
        line = raw.partition("#")[0]
        inside = inside or re.match(r"\s*default_ulimits\s*=", line) is not None
        if inside:
            yield number, line
            inside = "]" not in line


def _lxc(files: ConfigFiles, container: Container, resource: Resource) -> LimitSource | None:
    found = None
    for pattern in _LXC:
        name = pattern.format(id=container.id)
        for number, raw in enumerate(files.lines(name) or (), 1):
            match = re.match(rf"\s*lxc\.prlimit\.{resource}\s*=\s*(unlimited|[0-9]+)(?::(unlimited|[0-9]+))?", raw)
            if match:
                soft, hard = (_lxc_number(each) for each in (match[1], match[2] or match[1]))
                found = LimitSource("container", container.id, name, number, raw.strip(), soft, hard)
    return found


def _lxc_number(text: str) -> int:
    return UNLIMITED if text == "unlimited" else int(text)


def _json(files: ConfigFiles, name: str) -> Any:
    text = files.text(name)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _number(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return UNLIMITED if value < 0 or value >= (1 << 63) - 1 else value


def _line_of(files: ConfigFiles, name: str, text: str) -> int:
    return next((number for number, line in enumerate(files.lines(name) or (), 1) if text in line), 0)
