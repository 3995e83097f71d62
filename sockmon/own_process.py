"""Processes of ours: a fork with its own name and descriptors, its end, and the signal when its parent ends.

A process that is forked shares with us the memory of what we have imported, until one of both writes to it; a new
interpreter would import all of it once more (docs/decisions/0027-forks-of-one-interpreter.md)."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import BinaryIO

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_NAME = 1, 2, 15
_MAX_NAME = 15
_FIRST_DESCRIPTOR, _MAX_DESCRIPTORS = 3, 1 << 16
_WAIT_STEP_SECONDS = 0.005

_libc = ctypes.CDLL(None, use_errno=True)


def start_forked(work: Callable[[], object], streams: Sequence[int], keep: Collection[int] = ()) -> int:
    """Fork a process that calls `work` and ends with 0, or with 1 if that raised; return its process id.

    `streams` become its standard streams; of our other descriptors it has `keep` alone. Locks that another thread
    of ours holds stay locked in it. Raise OSError if it cannot be started."""
    # Otherwise its first garbage collection would write to each page of what it shares with us.
    gc.freeze()
    caller, code = os.getpid(), 1
    try:
        # In the block, because a signal such as Ctrl-C may raise in the fork before it has done anything.
        if pid := os.fork():
            return pid
        gc.enable()
        _take_descriptors(streams, keep)
        work()
        code = 0
    finally:
        if os.getpid() != caller:
            os._exit(code)
    raise AssertionError("a fork does not come here")


def _take_descriptors(streams: Sequence[int], keep: Collection[int]) -> None:
    for number, copy in enumerate([os.dup(each) for each in streams]):
        os.dup2(copy, number)
    first = _FIRST_DESCRIPTOR
    for each in sorted(keep):
        os.closerange(first, each)
        first = each + 1
    os.closerange(first, _MAX_DESCRIPTORS)


class PipedChild:
    """A fork with a pipe for its standard input and one for its standard output.

    The process that has made the pipes, or a fork of it, starts it."""

    def __init__(self) -> None:
        """Make the pipes; raise OSError if that fails."""
        stdin, requests = os.pipe()
        answers, stdout = os.pipe()
        self.its_ends = stdin, stdout
        """The descriptors that a process needs to start it."""
        self.stdin: BinaryIO = os.fdopen(requests, "wb")
        self.stdout: BinaryIO = os.fdopen(answers, "rb")
        self.pid = 0
        """0 if it is not a child of this process."""
        self._code: int | None = None

    def start(self, work: Callable[[], object]) -> int:
        """Start it, with /dev/null as its standard error, and return its process id; raise OSError."""
        try:
            with open(os.devnull, "r+b", buffering=0) as nothing:
                self.pid = start_forked(work, (*self.its_ends, nothing.fileno()))
        finally:
            self.close_its_ends()
        return self.pid

    def close_its_ends(self) -> None:
        """Close what only the child may hold, so that each side reads the end of the other."""
        for each in self.its_ends:
            os.close(each)

    def wait(self, seconds: float = math.inf) -> int | None:
        """Return its exit code; None if it has not ended within `seconds`."""
        if self._code is None:
            self._code = wait(self.pid, seconds)
        return self._code


def wait(pid: int, seconds: float) -> int | None:
    """Return the exit code of a child, or the negative number of the signal that ended it.

    None: it has not ended within `seconds`. After it has returned a code it must not be called again."""
    end = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(_WAIT_STEP_SECONDS)


def set_name(name: str, *arguments: str) -> None:
    """Set the name that ps(1) and top(1) show, cut to 15 bytes, and the command line of /proc/PID/cmdline.

    That is cut to the length of the command line with which the interpreter was started."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:_MAX_NAME], 0, 0, 0)
    with suppress(OSError, ValueError, IndexError):
        begin, end = _argument_area()
        text = b"".join(os.fsencode(each) + b"\0" for each in (name, *arguments))[: end - begin - 1]
        ctypes.memset(begin, 0, end - begin)
        ctypes.memmove(begin, text, len(text))


def _argument_area() -> tuple[int, int]:
    """Return the first address of the arguments and that behind them (proc_pid_stat(5), arg_start and arg_end)."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    if not 0 < begin < end:
        raise ValueError("the kernel does not show the addresses")
    return begin, end


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
