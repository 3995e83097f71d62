"""Whether a module is in the kernel now: a request for its tables would load it."""

from __future__ import annotations

import os
from pathlib import Path


def may_be_loaded(module: str) -> bool:
    """Return whether `module` is loaded, or built in; True also for a kernel that loads no modules."""
    try:
        modules = Path("/proc/modules").read_bytes()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    if f"\n{module} ".encode() in b"\n" + modules:
        return True
    try:
        builtin = Path(f"/lib/modules/{os.uname().release}/modules.builtin").read_bytes()
    except OSError:
        return False
    return f"/{module}.ko".encode() in builtin
