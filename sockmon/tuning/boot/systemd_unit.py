"""The systemd unit of a process, whose drop-in gives it another limit at its next start (systemd.exec(5))."""

from __future__ import annotations

import re
import shlex

from sockmon.tunables.value import UNLIMITED

DIRECTIVES = {"nofile": "LimitNOFILE", "nproc": "LimitNPROC"}
USER_PREFIX = "--user "
"""Prefix of a unit of a user's service manager, as systemctl takes it."""
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(?:service|scope)")
_MANAGER = re.compile(r"user@[0-9]+\.service")
_CONTAINER = re.compile(
    r"(docker|libpod|cri-containerd|crio|machine)-.+|systemd-nspawn@.+|kubepods|lxc(\.payload.*)?|[0-9a-f]{64}"
)
"""Cgroups of containers: the units below them are not units of this host."""


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


def how_to_persist(limit: str, value: str, unit: str) -> tuple[str, ...]:
    """Return how to give the process the limit `value` at its next start too, a line each; `unit` is its unit."""
    if _CONTAINER.fullmatch(unit.removeprefix(USER_PREFIX)):
        return (
            f"The limit ends with the process. To make it permanent, set {limit} in the ulimits of the container.",
        )
    if unit.endswith(".service"):
        user, name = unit.startswith(USER_PREFIX), unit.removeprefix(USER_PREFIX)
        place = f"{'~/.config/systemd/user' if user else '/etc/systemd/system'}/{name}.d/90-sockmon.conf"
        edit = f"systemctl {USER_PREFIX if user else ''}edit {shlex.quote(name)}"
        return (
            f"The limit ends with the process. To make it permanent, add a drop-in, with {edit} or as {place}:",
            "[Service]",
            f"{DIRECTIVES[limit]}={value.replace(UNLIMITED, 'infinity')}",
            f"After systemctl {USER_PREFIX if user else ''}daemon-reload it takes effect when {name} starts next.",
        )
    if unit.startswith("session-"):
        return (
            "The limit ends with the process. The process belongs to a login: set"
            f" {limit} for the next login in /etc/security/limits.conf.",
        )
    return (
        "The limit ends with the process, which is not a systemd service. To make it permanent, set it in whatever"
        f" starts the process, for example with ulimit -{'n' if limit == 'nofile' else 'u'} in its script.",
    )
