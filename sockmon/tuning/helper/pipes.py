"""Requests to a child through its stdin, and its end, without waiting long for a child that is stopped."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import suppress

GRACE_SECONDS = 0.4
"""Time for a child to end after its stdin is closed."""
SEND_SECONDS = 1.0
"""Time for a child to read, if its pipe has no room for a request."""


def send_line(process: subprocess.Popen[bytes], line: bytes) -> bool:
    """Write a request to the child's stdin; return False if the child has ended, or does not read.

    If only a part could be written, the pipe is closed: the next request would be read as the rest of this one."""
    assert process.stdin is not None
    end, sent = time.monotonic() + SEND_SECONDS, 0
    try:
        # Not through Python's buffer, which close() would have to write first.
        pipe = process.stdin.fileno()
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
        process.stdin.close()
    return sent == len(line)


def end_child(process: subprocess.Popen[bytes]) -> None:
    """Close the child's stdin, which ends it; kill it if it has not ended after GRACE_SECONDS.

    A child with more privileges than we have kept cannot be killed from here; `sockmon-tty` ends it."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(PermissionError):
            process.kill()
            process.wait(GRACE_SECONDS)
