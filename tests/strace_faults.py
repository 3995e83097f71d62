"""System calls of a running process that fail or take long: strace(1), attached for the length of a block."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ATTACHING = 10.0
"""Seconds that strace may take to attach."""


@contextmanager
def injected(pid: int, calls: str, what: str) -> Iterator[None]:
    """Let `what` (`error=ENFILE`, `delay_enter=200ms`) happen to each of `calls` in `pid` while the block lasts.

    Skip if strace is not installed or may not attach."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    argv = ["strace", "-f", "-qq", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]
    strace = subprocess.Popen([*argv, "-o", "/dev/null"], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + ATTACHING
        while not _traced(pid):
            if strace.poll() is not None or time.monotonic() > end:
                assert strace.stderr is not None
                strace.kill()
                pytest.skip(f"strace may not attach here: {strace.stderr.read().decode().strip()}")
            time.sleep(0.01)
        yield
    finally:
        # Detaches, and lets the process go on as before.
        strace.send_signal(signal.SIGTERM)
        strace.communicate()


def _traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in status
