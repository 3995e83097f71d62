"""Locked memory and io_uring, until the kernel refuses: mlock(2), io_uring_setup(2)."""

from __future__ import annotations

import ctypes
import mmap
import os

from sockmon.errors import LabUnavailable

_IO_URING_SETUP = 425
"""The same on every architecture but alpha."""
_PARAMS_BYTES = 120
_libc = ctypes.CDLL(None, use_errno=True)


def lock(size: int) -> mmap.mmap:
    """Return `size` bytes that are locked; raise OSError."""
    held = mmap.mmap(-1, size)
    address = ctypes.addressof(ctypes.c_char.from_buffer(held))
    if _libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(size)):
        raise _error("mlock")
    return held


def add_ring(entries: int) -> int:
    """Return the descriptor of a new ring, which stays open; raise OSError."""
    descriptor = int(_libc.syscall(_IO_URING_SETUP, entries, ctypes.create_string_buffer(_PARAMS_BYTES)))
    if descriptor < 0:
        raise _error("io_uring_setup")
    return descriptor


def require_io_uring() -> None:
    """Raise LabUnavailable if this process cannot have a ring."""
    try:
        os.close(add_ring(1))
    except OSError as error:
        raise LabUnavailable(f"io_uring is not available here: {error.strerror}") from error


def _error(call: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{call}: {os.strerror(code)}")
