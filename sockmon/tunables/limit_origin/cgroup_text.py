"""What to change so that the limit of a cgroup lasts: a property of its unit, an option of the container. Pure."""

from __future__ import annotations

import re
import shlex

from sockmon.tunables.limit_origin.unit_name import USER_PREFIX, Container, container_of_cgroup, unit_of_cgroup

DIRECTIVES = {"pids.max": "TasksMax", "memory.max": "MemoryMax", "memory.high": "MemoryHigh"}
"""Of a unit (systemd.resource-control(5))."""
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(service|scope|slice|mount|socket|swap)")
_NO_LIMIT = "max"
_DOCKER = {"pids.max": "--pids-limit", "memory.max": "--memory"}
_LXC = {"pids.max": "limits.processes", "memory.max": "limits.memory"}


def cgroup_lines(key: str, path: str, value: str = "") -> tuple[str, ...]:
    """Return how the limit `key` of the cgroup `path` gets `value` the next time too, a line each; without a value
    where the change belongs."""
    container = container_of_cgroup(path)
    if container is not None:
        return _container_lines(key, container, value)
    name = path.rpartition("/")[2].removeprefix("_")
    if unit := _UNIT.fullmatch(name):
        return _unit_lines(key, path, name, unit[1], value)
    above = unit_of_cgroup(path)
    if above:
        return (f"To last: {above} makes this cgroup itself; set it in what runs there.",)
    return ("To last: set it in whatever creates the cgroup; no unit or container is known.",)


def systemd_value(value: str) -> str:
    """Return a limit as a property of a unit takes it."""
    return "infinity" if value == _NO_LIMIT else value or "N"


def _unit_lines(key: str, path: str, name: str, kind: str, value: str) -> tuple[str, ...]:
    setting = f"{DIRECTIVES[key]}={systemd_value(value)}"
    user = unit_of_cgroup(path).startswith(USER_PREFIX)
    systemctl, unit = f"systemctl {USER_PREFIX if user else ''}", shlex.quote(name)
    again = f"systemd owns this file: {systemctl}daemon-reload may write its own value again."
    if kind == "scope":
        return (
            f"{again} {systemctl}set-property {unit} {setting} lasts as long as the scope.",
            f"To last: set {setting} in whatever starts the scope (systemd-run --scope -p {setting}); of a login,"
            " in a drop-in of its user-UID.slice.",
        )
    section = {"service": "Service", "slice": "Slice", "mount": "Mount", "socket": "Socket", "swap": "Swap"}[kind]
    folder = "~/.config/systemd/user" if user else "/etc/systemd/system"
    return (
        again,
        f"To last: {systemctl}set-property {unit} {setting}, which takes effect at once and stays, or"
        f" {folder}/{name}.d/90-sockmon.conf:",
        f"[{section}]",
        setting,
        f"Then {systemctl}daemon-reload, which applies it without a restart.",
    )


def _container_lines(key: str, container: Container, value: str) -> tuple[str, ...]:
    number = "-1" if value == _NO_LIMIT else value or "N"
    name = container.id[:12] if len(container.id) == 64 else container.id or "NAME"
    name = shlex.quote(name)
    if container.engine == "kubernetes":
        return (_kubernetes(key, number),)
    if container.engine == "lxc":
        option = _LXC.get(key)
        line = f"lxc.cgroup2.{key} = {value or 'N'}"
        incus = f"; with Incus or LXD: incus config set {name} {option} {value or 'N'}" if option else ""
        return (f"To last: write {line} to the config of the container{incus}.",)
    if container.engine == "systemd-nspawn":
        setting = f"{DIRECTIVES[key]}={systemd_value(value)}"
        return (f"To last: systemctl set-property systemd-nspawn@{name}.service {setting}.",)
    option = _DOCKER.get(key, "")
    engine = container.engine if container.engine in ("docker", "podman") else ""
    if not option:
        return (f"{engine or 'the engine'} has no option for {key}: it ends with the container.".capitalize(),)
    text = f"start the container with {option}={number}"
    if engine == "docker":
        swap = " --memory-swap=N with it, if the engine asks for it" if key == "memory.max" else ""
        text = f"docker update {option}={number} {name}{swap}, which takes effect at once and stays"
    return (f"To last: {text} (Compose: {'pids_limit' if key == 'pids.max' else 'mem_limit'}).",)


def _kubernetes(key: str, number: str) -> str:
    if key == "memory.max":
        return f"To last: set resources.limits.memory: {number} of the container in the pod."
    if key == "pids.max":
        return f"To last: set podPidsLimit: {number} in the config of the kubelet, for every pod of the node."
    return "Kubernetes has no setting for memory.high of one container: it ends with the pod."
