"""What people call a machine of systemd-machined, and a container of LXC, LXD or Incus."""

from __future__ import annotations

import re

from sockmon.errors import ReadError
from sockmon.kernel.namespaces.cgroup_owner import LXC, machine_of_unit
from sockmon.kernel.namespaces.state_files import StateFiles

MACHINES = "/run/systemd/machines"
_MANAGERS = (
    ("incus", ("/run/incus", "/var/lib/incus/containers")),
    ("lxd", ("/var/snap/lxd/common/lxd/containers", "/var/lib/lxd/containers")),
)
_LXC_CONTAINERS = "/var/lib/lxc"
_RETRY = re.compile(r"(.+)-[1-9]\d{0,2}")


def read_machine(unit: str, files: StateFiles) -> str:
    """Return the machine of a unit: machined links unit:UNIT to its name (src/machine/machine.c); without that, as
    the unit has it."""
    try:
        return files.read_link(f"{MACHINES}/unit:{unit}")
    except ReadError:
        return machine_of_unit(unit)


def read_lxc(name: str, files: StateFiles) -> tuple[str, str]:
    """Return who manages a container of LXC (incus, lxd or lxc) and its name, for another project than the default
    PROJECT/NAME.

    LXC adds -1 to -999 to the cgroup if there is one of that name already (src/lxc/cgroups/cgfsng.c)."""
    retried = _RETRY.fullmatch(name)
    for candidate in (name, *([retried[1]] if retried else [])):
        for manager, folders in _MANAGERS:
            if any(files.exists(f"{folder}/{candidate}") for folder in folders):
                # Both join project and name with `_`, which a name may not contain (internal/server/project).
                return manager, "/".join(candidate.rsplit("_", 1))
        if files.exists(f"{_LXC_CONTAINERS}/{candidate}/config"):
            return LXC, candidate
    return LXC, name
