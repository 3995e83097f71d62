"""Settings of this process in the kernel: its name, and the signal when its parent ends (prctl(2)).

It imports little, because `sockmon-launch` uses it, which runs as long as the screen."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_NAME = 1, 2, 15
_MAX_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


def set_name(name: str) -> None:
    """Set the name that ps(1) and top(1) show, cut to 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:_MAX_NAME], 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process, even if stopped, when the process `parent` ends; exit now if it has ended.

    The kernel sends the signal only if the parent, with its credentials at its end, may send it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def continue_with_parent() -> None:
    """Let the kernel continue this process, if it is stopped, when its parent ends, so that it reads the end of
    its standard input. Does nothing if another signal is set already."""
    current = ctypes.c_int()
    if _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(current), 0, 0, 0) == 0 and not current.value:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
