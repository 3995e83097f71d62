"""Reads of a file of /proc that stays open: from its beginning each time."""

from __future__ import annotations

import errno
import os

MAX_FILE_BYTES = 8 * 1024 * 1024


def read_open_file(descriptor: int, path: str, size: int) -> bytes:
    """Return all of /proc/`path`, in reads of `size` bytes; a sysctl answers one read only. Raise OSError."""
    return os.pread(descriptor, size, 0) if path.startswith("sys/") else _read_all(descriptor, size)


def _read_all(descriptor: int, size: int) -> bytes:
    """Return all of a seq_file: one read returns at most a page of whole records."""
    data = os.pread(descriptor, size, 0)
    if not data:
        return data
    while len(data) < MAX_FILE_BYTES:
        more = os.pread(descriptor, size, len(data))
        if not more:
            return data
        data += more
    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
