"""Which sysctls this kernel has: the files below /proc/sys."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sockmon.text import sanitize

_OF_INTERFACES = (("conf", "all"), ("neigh", "default"))
"""Folders below net.ipv4 and net.ipv6 with a folder for each interface, and the one that stands for all."""
_TO_KEY = str.maketrans("./", "/.")
_MAX_KEY_CHARS = 200


def sysctl_keys(root: str = "/proc/sys") -> list[str]:
    """Return every key, as sysctl(8) prints it, in order; of those that each interface has, one.

    A folder that may not be read is left out."""
    return sorted(_keys_below(root, len(root.rstrip("/")) + 1))


def _keys_below(root: str, skip: int) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        for name, shown in _OF_INTERFACES:
            if folder.endswith(f"/{name}") and shown in folders:
                folders[:] = [shown]
        for file in files:
            yield sanitize(os.fsencode(f"{folder}/{file}"[skip:].translate(_TO_KEY)), _MAX_KEY_CHARS)
