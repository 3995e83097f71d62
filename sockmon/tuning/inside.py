"""Inside a private user namespace, such as a lab: where transactions are kept, and what is not its to change."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.errors import NotTuned
from sockmon.tunables import BY_KEY

HOME = "SOCKMON_ROOT"
"""The environment's name for the directory that is `/` to transactions in a lab; empty: the lab has none."""
_ALL_IDS = ["0", "0", "4294967295"]
_OWN_PID_MAX = (6, 14)


def home(root: str = "/") -> str:
    """`root`, and in a lab the lab's own instead of `/`: it must not touch the host's /run, /var and /etc.

    NotTuned in a lab that has none. Outside of labs the environment cannot lead us anywhere."""
    lab = os.environ.get(HOME)
    if root != "/" or lab is None:
        return root
    if not lab or not private():
        raise NotTuned(
            "nothing can be changed in this lab: it has no directories of its own",
            f"sockmon tune plan works here; if this is no lab: unset {HOME}",
        )
    return lab


def private() -> bool:
    """Whether this user namespace is another than the initial one, which alone maps every user to itself
    (user_namespaces(7))."""
    with suppress(OSError), open("/proc/self/uid_map", "rb") as file:
        return file.read(256).decode("ascii", "replace").split() != _ALL_IDS
    return False


def not_ours(key: str) -> str:
    """Why a private user namespace must leave a sysctl alone: it is the whole host's. Empty where it is its own.

    The kernel asks for the user id alone below fs, vm and kernel (kernel/sysctl.c, test_perm), and that of root in
    a lab that root has started is the host's."""
    if not private():
        return ""
    scope = BY_KEY[key].scope if key in BY_KEY else "host"
    own = (
        scope in ("netns", "process")
        or (scope == "user namespace" and key.startswith("user."))
        or (scope == "pid namespace" and _kernel() >= _OWN_PID_MAX)
    )
    return "" if own else "it is the whole host's, and this is a private user namespace"


def _kernel() -> tuple[int, ...]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor.partition("-")[0])) or 0)
