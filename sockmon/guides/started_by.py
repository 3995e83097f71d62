"""What started a process, and so set its limits, as far as a sample shows it: a unit, a login, a container."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.ceilings.evidence import process_label
from sockmon.guides.facts import Facts
from sockmon.model.snapshot import Process

CONTAINERS = ("docker", "libpod", "kubepods", "containerd", "crio", "lxc")
"""Parts of the path of a cgroup that a container engine makes."""


class Place(NamedTuple):
    """Where a limit is set so that it lasts, for each way to start a process."""

    unit: str
    """The directive of a unit with its value: `LimitNOFILE=65536`."""
    login: str
    """The lines of limits.conf: `USER soft nofile 65536`; `-` instead of soft sets the hard limit too."""
    container: str
    """The option of a container with its value: `--ulimit nofile=65536`."""


def process_of(facts: Facts) -> Process | None:
    """Return the process that the reading in focus is about; None if it is about another subject, or gone."""
    processes = facts.snapshot.processes
    rows = processes.rows if processes and facts.focus else ()
    return next((row for row in rows if facts.focus and process_label(row) == facts.focus[1]), None)


def process_with(facts: Facts, pid: int | None) -> Process | None:
    """Return the process `pid`; None if it is gone."""
    processes = facts.snapshot.processes
    return next((row for row in processes.rows if row.pid == pid), None) if processes and pid else None


def cgroup_of(facts: Facts, label: str) -> str:
    """Return the deepest cgroup whose largest process is `label`; empty if the sample has none."""
    cgroups = facts.snapshot.cgroups
    if cgroups is None:
        return ""
    named = [(group.path, group.name) for group in cgroups.pids]
    named += [(group.path, group.name) for group in cgroups.memory]
    return max((path for path, name in named if name == label), key=len, default="")


def how_to_persist(facts: Facts, label: str, pid: int, place: Place) -> Sequence[str]:
    """Return where the limit of the process `label` is set, so that its next start has it too."""
    path = cgroup_of(facts, label)
    name = path.rpartition("/")[2]
    if any(word in path for word in CONTAINERS):
        return [f"{label} runs in a container ({path}): start it with {place.container}"]
    if name.endswith(".service"):
        return [_of_unit(name, place)]
    if name.startswith("session-"):
        return [f"{label} was started in a login session ({name}): {_of_login(place)}"]
    return [
        f"systemctl status {pid} shows the unit that started {label}",
        f"of a service: {_of_unit('X.service', place)}",
        f"of a login session: {_of_login(place)}",
        f"of a container: start it with {place.container}",
    ]


def _of_unit(name: str, place: Place) -> str:
    # systemd escapes names with backslashes, and who has a cgroup may name those below it as he likes.
    unit = shlex.quote(name)
    return (
        f"run systemctl edit {unit}, add {place.unit} below [Service], then systemctl restart {unit};"
        " limits.conf has no effect on it"
    )


def _of_login(place: Place) -> str:
    return f"put {place.login} in a file in /etc/security/limits.d (pam_limits), then log in again"
