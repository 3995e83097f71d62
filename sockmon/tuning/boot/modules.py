"""Whether the module that a key comes with is loaded before the files of sysctl.d are read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from sockmon.tuning.boot.sources.module_options import applied_at_load
from sockmon.tuning.boot.sysctl_d import UnreadableFile, path_of, read_file

_CONNTRACK = "nf_conntrack"
_MODULES_LOAD = (
    "etc/modules-load.d",
    "run/modules-load.d",
    "usr/local/lib/modules-load.d",
    "usr/lib/modules-load.d",
)
"""Read by systemd-modules-load, which systemd-sysctl waits for (modules-load.d(5))."""
_ETC_MODULES = "etc/modules"


def late_module(key: str, root: Path) -> str:
    """Return `nf_conntrack` for a key that exists only when it is loaded, unless it is built in or something below
    `root` loads it before the files are read or applies them when it is loaded; else empty."""
    path = path_of(key)
    if not (path.startswith("net/netfilter/nf_conntrack_") or path == "net/nf_conntrack_max"):
        return ""
    if path.startswith("net/netfilter/") and applied_at_load(root):
        return ""
    return "" if _is_built_in(root) or _is_loaded_early(root) else _CONNTRACK


def _is_loaded_early(root: Path) -> bool:
    files = [root / _ETC_MODULES]
    for directory in _MODULES_LOAD:
        with suppress(OSError):
            files += sorted((root / directory).glob("*.conf"))
    return any(re.search(rb"(?m)^[ \t]*nf[_-]conntrack\b", _content(file)) for file in files)


def _is_built_in(root: Path) -> bool:
    release = os.uname().release
    return b"/nf_conntrack.ko" in _content(root / "lib/modules" / release / "modules.builtin")


def _content(file: Path) -> bytes:
    try:
        return read_file(file)
    except (OSError, UnreadableFile):
        return b""
