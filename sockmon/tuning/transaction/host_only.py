"""What a lab, which is a private user namespace, may not change: what applies to the whole host.

Not in `confinement.py`, because the screen needs that at its start, and none of what is imported here."""

from __future__ import annotations

from sockmon.kernel.cgroups.limits import in_initial_namespace
from sockmon.kernel.identity import kernel_version
from sockmon.tunables import BY_KEY
from sockmon.tuning.transaction.confinement import in_user_namespace

_OWN_PID_MAX = (6, 14)


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
