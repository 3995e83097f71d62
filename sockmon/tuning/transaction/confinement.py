"""Whether this is a lab, which is a private user namespace, and where its transactions are kept."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.errors import TuningError

ROOT_VARIABLE = "SOCKMON_ROOT"
"""Names the directory that transactions in a lab use instead of `/`; empty if the lab has none."""
_ALL_IDS = ["0", "0", "4294967295"]


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
