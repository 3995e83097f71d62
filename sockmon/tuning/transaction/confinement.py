"""What a lab, which is a private user namespace, may change, and where its transactions are kept."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.errors import TuningError
from sockmon.kernel.cgroups.limits import in_initial_namespace
from sockmon.kernel.identity import kernel_version
from sockmon.tunables import BY_KEY

ROOT_VARIABLE = "SOCKMON_ROOT"
"""Names the directory that transactions in a lab use instead of `/`; empty if the lab has none."""
_ALL_IDS = ["0", "0", "4294967295"]
_OWN_PID_MAX = (6, 14)


def state_root(root: str = "/") -> str:
    """Return `root`, or in a lab the lab's directory instead of `/`; raise TuningError if the lab has none.

    A lab must not touch /run, /var and /etc of the host. Outside of a lab the variable has no effect."""
    lab = os.environ.get(ROOT_VARIABLE)
    if root != "/" or lab is None:
        return root
    if not lab or not in_user_namespace():
        raise TuningError(
            "this lab cannot change settings: it has no state directory",
            f"sockmon tune plan works here; if this is not a lab: unset {ROOT_VARIABLE}",
        )
    return lab


def in_user_namespace() -> bool:
    """Return whether this is not the initial user namespace, the only one that maps every id to itself
    (user_namespaces(7))."""
    with suppress(OSError), open("/proc/self/uid_map", "rb") as file:
        return file.read(256).decode("ascii", "replace").split() != _ALL_IDS
    return False


def host_only_reason(key: str) -> str:
    """Return the reason why a private user namespace must not change `key`: it is global. Empty if it may.

    Below fs, vm and kernel the kernel checks the user id only (kernel/sysctl.c, test_perm), and root in a lab that
    root has started has the user id of the host's root."""
    if not in_user_namespace():
        return ""
    scope = BY_KEY[key].scope if key in BY_KEY else "host"
    if scope == "cgroup":
        return (
            ""
            if not in_initial_namespace()
            else "the cgroups are the host's, and this is a private user namespace"
        )
    own = (
        scope in ("netns", "process")
        or (scope == "user namespace" and key.startswith("user."))
        or (scope == "pid namespace" and kernel_version() >= _OWN_PID_MAX)
    )
    return "" if own else "it applies to the whole host, and this is a private user namespace"
