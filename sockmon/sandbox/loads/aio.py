"""Contexts of asynchronous I/O: io_setup(2), which has no wrapper in libc."""

from __future__ import annotations

import ctypes
import errno
import os
import platform

_NUMBERS = {"x86_64": 206, "aarch64": 0, "riscv64": 0}
"""__NR_io_setup, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h."""
_libc = ctypes.CDLL(None, use_errno=True)


def io_setup(requests: int) -> None:
    """Make a context that reserves so many requests, and lasts as long as this process; raise OSError."""
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, "the number of io_setup() on this machine is not known")
    context = ctypes.c_ulong(0)
    if _libc.syscall(number, requests, ctypes.byref(context)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"io_setup({requests}): {os.strerror(code)}")
