"""The systemd unit of a process, whose drop-in gives it another limit at its next start (systemd.exec(5))."""

from __future__ import annotations

import re
import shlex

from sockmon.tunables.value import UNLIMITED

DIRECTIVES = {"nofile": "LimitNOFILE", "nproc": "LimitNPROC"}
USER = "--user "
"""Before a unit that the service manager of a user runs, as systemctl takes it."""
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(?:service|scope)")
_MANAGER = re.compile(r"user@[0-9]+\.service")
_CONTAINER = re.compile(
    r"(docker|libpod|cri-containerd|crio|machine)-.+|systemd-nspawn@.+|kubepods|lxc(\.payload.*)?|[0-9a-f]{64}"
)
"""Groups below which a container has names of its own: the units in there are not this host's."""


def named(path: str) -> str:
    """The unit that a cgroup is of: `/system.slice/nginx.service/worker` → `nginx.service`; `--user x.service`.
    Of a container that no unit holds, the group: `kubepods`."""
    # Before a name that the kernel would take for a file of the group systemd puts a `_`.
    parts = [part.removeprefix("_") for part in path.split("/")]
    outer = next((place for place, part in enumerate(parts) if _CONTAINER.fullmatch(part)), None)
    if outer is not None and not _UNIT.fullmatch(parts[outer]):
        return next((part for part in parts[:outer] if _UNIT.fullmatch(part)), parts[outer])
    units = [part for part in parts[: None if outer is None else outer + 1] if _UNIT.fullmatch(part)]
    own = [unit for unit in units if not _MANAGER.fullmatch(unit)]
    if not own:
        return units[0] if units else ""
    return f"{USER if len(own) < len(units) else ''}{own[0]}"


def lasting(limit: str, value: str, unit: str) -> tuple[str, ...]:
    """How the limit is `value` after a restart of the process too, a line each; `unit` as `named` has it."""
    if _CONTAINER.fullmatch(unit.removeprefix(USER)):
        return (f"The limit ends with the process: what starts the container sets it ({limit} in its ulimits).",)
    if unit.endswith(".service"):
        user, name = unit.startswith(USER), unit.removeprefix(USER)
        place = f"{'~/.config/systemd/user' if user else '/etc/systemd/system'}/{name}.d/90-sockmon.conf"
        edit = f"systemctl {USER if user else ''}edit {shlex.quote(name)}"
        return (
            f"The limit ends with the process: {name} starts again with its own. To last it takes a drop-in, by"
            f" {edit}, or as {place}:",
            "[Service]",
            f"{DIRECTIVES[limit]}={value.replace(UNLIMITED, 'infinity')}",
            f"It counts from the next start of {name}, after systemctl {USER if user else ''}daemon-reload.",
        )
    if unit.startswith("session-"):
        return (
            "The limit ends with the process. It belongs to a login: /etc/security/limits.conf sets"
            f" {limit} for the next one.",
        )
    return (
        "The limit ends with the process, which no service of systemd started: to last it belongs into what"
        f" starts it, as ulimit -{'n' if limit == 'nofile' else 'u'} in its script does.",
    )
