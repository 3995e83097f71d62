"""Runs a function in a child, and kills it or fails a call at a chosen system call, by ptrace(2)."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Callable

import pytest

FALLIBLE = {
    "read": 0, "write": 1, "open": 2, "close": 3, "fstat": 5, "pread64": 17, "pwrite64": 18, "socket": 41,
    "bind": 49, "listen": 50, "flock": 73, "fsync": 74, "ftruncate": 77, "rename": 82, "mkdir": 83, "unlink": 87,
    "fstatfs": 138, "getdents64": 217, "openat": 257, "mkdirat": 258, "newfstatat": 262,
    "unlinkat": 263, "renameat": 264, "fchmodat": 268,
}  # fmt: skip
"""Numbers of x86_64: calls that can fail for lack of space, rights or a healthy disk."""

_TRACEME, _POKEUSER, _PEEKUSER, _SYSCALL, _SETOPTIONS = 0, 6, 3, 24, 0x4200
_TRACESYSGOOD, _EXITKILL = 1, 1 << 20
_ORIG_RAX, _RAX = 15 * 8, 10 * 8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)

needs_stepping = pytest.mark.skipif(platform.machine() != "x86_64", reason="knows the registers of x86_64")


def step(function: Callable[[], object], at: int, error: int = 0) -> bool:
    """Run `function` in a child. Without `error`: SIGKILL as it enters system call number `at` (from 0). With it:
    the `at`-th call of FALLIBLE fails with that errno. False where it had ended before."""
    child = os.fork()
    if child == 0:
        _be_stepped(function)
    _wait(child)
    _ptrace(_SETOPTIONS, child, 0, _TRACESYSGOOD | _EXITKILL)
    seen, entering, failing, reached = 0, True, False, False
    while True:
        _ptrace(_SYSCALL, child, 0, 0)
        status = _wait(child)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return reached
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            continue
        if entering and (not error or _ptrace(_PEEKUSER, child, _ORIG_RAX, 0) in FALLIBLE.values()):
            if seen == at and not error:
                os.kill(child, signal.SIGKILL)
                _wait(child)
                return True
            if seen == at:
                _ptrace(_POKEUSER, child, _ORIG_RAX, -1)
                failing = reached = True
            seen += 1
        elif failing:
            _ptrace(_POKEUSER, child, _RAX, -error)
            failing = False
        entering = not entering


def _be_stepped(function: Callable[[], object]) -> None:
    code = 1
    try:
        _ptrace(_TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        function()
        code = 0
    finally:
        os._exit(code)


def _wait(child: int) -> int:
    return os.waitpid(child, 0)[1]


def _ptrace(request: int, child: int, address: int, data: int) -> int:
    ctypes.set_errno(0)
    found: int = _libc.ptrace(request, child, address, data)
    if found == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), "ptrace")
    return found
