"""The processes of a load: forked, named, and killed together."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from sockmon.kernel.processes.rlimits import raise_descriptor_limit
from sockmon.own_process import set_name
from sockmon.sandbox.child_process import detach_stdin, fork

Worker = Callable[[], Iterator[float]]
"""Builds something up to its first `yield`, then yields how many seconds to sleep before it continues."""

FOREVER = 1e6
_MAX_MESSAGE_BYTES = 4096


class WorkerGroup:
    """Forks workers of this process; each dies with it, however it ends."""

    def __init__(self) -> None:
        self.pids: dict[str, list[int]] = {}
        self._starting: dict[int, str] = {}

    def start(self, name: str, worker: Worker) -> int:
        """Return the pid of a new process called `name` that runs `worker`; `wait` returns once it is ready."""
        reader, writer = os.pipe()
        pid = fork(partial(_run_worker, name, reader, writer, worker))
        os.close(writer)
        self._starting[reader] = name
        self.pids.setdefault(name, []).append(pid)
        return pid

    def wait(self) -> None:
        """Block until all started workers are ready.

        Raise RuntimeError with the reason of the first that failed, SystemExit if our stdin ends meanwhile."""
        while self._starting:
            ready, _, _ = select.select([0, *self._starting], [], [])
            if 0 in ready:
                sys.exit(1)
            for reader in ready:
                name, answer = self._starting.pop(reader), os.read(reader, _MAX_MESSAGE_BYTES).decode()
                os.close(reader)
                if answer != "ready":
                    raise RuntimeError(f"{name}: {answer or 'died'}")

    def kill_all(self) -> None:
        """Kill all workers and reap them."""
        for pid in (pid for pids in self.pids.values() for pid in pids):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _run_worker(name: str, reader: int, writer: int, worker: Worker) -> None:
    """Run in the child, until it is killed or the worker fails."""
    os.close(reader)
    try:
        detach_stdin()
        set_process_title(name)
        raise_descriptor_limit()
        steps = worker()
        pause = next(steps)
        os.write(writer, b"ready")
        while True:
            time.sleep(pause)
            pause = next(steps, FOREVER)
    except BaseException as error:
        os.write(writer, f"{type(error).__name__}: {error}".encode()[:_MAX_MESSAGE_BYTES])


def set_process_title(name: str) -> None:
    """Set the name and the command line that ps(1) and sockmon show, so that a worker looks like a service."""
    set_name(name)
    # proc_pid_stat(5): fields 48 and 49 are arg_start and arg_end; that memory belongs to this process.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, name.encode(), min(len(name.encode()), end - start - 1))
