"""Requests to a child through its stdin, and its end, without waiting long for a child that is stopped."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import BinaryIO

from sockmon.own_process import PipedChild

GRACE_SECONDS = 0.4
"""Time for a child to end after its stdin is closed."""
SEND_SECONDS = 1.0
"""Time for a child to read, if its pipe has no room for a request."""


def send_line(child: PipedChild, line: bytes) -> bool:
    """Write a request to the child's stdin; return False if the child has ended, or does not read.

    If only a part could be written, the pipe is closed: the next request would be read as the rest of this one."""
    end, sent = time.monotonic() + SEND_SECONDS, 0
    try:
        # Not through Python's buffer, which close() would have to write first.
        pipe = child.stdin.fileno()
        os.set_blocking(pipe, False)
        while sent < len(line):
            try:
                sent += os.write(pipe, line[sent:])
            except BlockingIOError:
                # Requests that fit into the pipe as a whole are written as a whole: pipe(7), PIPE_BUF.
                if len(line) <= select.PIPE_BUF or not select.select([], [pipe], [], end - time.monotonic())[1]:
                    break
    except (OSError, ValueError):
        return False
    if 0 < sent < len(line):
        child.stdin.close()
    return sent == len(line)


def end_child(child: PipedChild) -> None:
    """Close the child's stdin, which ends it; kill it if it has not ended after GRACE_SECONDS.

    If another process is its parent, or it has more privileges than we have kept, `sockmon-tty` ends it."""
    with suppress(OSError):
        child.stdin.close()
    if not child.pid:
        _wait_for_end_of(child.stdout)
    elif child.wait(GRACE_SECONDS) is None:
        with suppress(PermissionError):
            os.kill(child.pid, signal.SIGKILL)
            child.wait(GRACE_SECONDS)


def _wait_for_end_of(pipe: BinaryIO) -> None:
    """Wait until the other side has closed the pipe, for GRACE_SECONDS at most; another thread may read it."""
    with suppress(OSError, ValueError):
        ended = select.poll()
        ended.register(pipe, 0)
        ended.poll(1000 * GRACE_SECONDS)
