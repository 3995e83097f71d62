"""The processes of a load: forked, named, held by a pipe, killed together."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sockmon.labs.namespaces import die_with_parent, raise_descriptor_limit

Work = Callable[[], Iterator[float]]
"""Builds something, then yields how many seconds to sleep until it is called again."""

FOREVER = 1e6

_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


class Crew:
    """Forks workers of this process; each dies with it, whatever it dies of."""

    def __init__(self) -> None:
        self.pids: dict[str, list[int]] = {}
        self._building: dict[int, str] = {}

    def start(self, name: str, work: Work) -> int:
        """The pid of a new process called `name` that does `work`; `wait` tells when it stands."""
        parent = os.getpid()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _live(name, parent, writer, work)
        os.close(writer)
        self._building[reader] = name
        self.pids.setdefault(name, []).append(pid)
        return pid

    def wait(self) -> None:
        """Block until all that was started stands; RuntimeError with the reason of the first that failed,
        SystemExit when whoever holds our stdin has gone."""
        while self._building:
            ready, _, _ = select.select([0, *self._building], [], [])
            if 0 in ready:
                sys.exit(1)
            for reader in ready:
                name, said = self._building.pop(reader), os.read(reader, 4096).decode()
                os.close(reader)
                if said != "stands":
                    raise RuntimeError(f"{name}: {said or 'died'}")

    def end(self) -> None:
        """Kill all of them, and reap them."""
        for pid in (pid for pids in self.pids.values() for pid in pids):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _live(name: str, parent: int, writer: int, work: Work) -> None:
    """A worker's whole life; never returns."""
    try:
        die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        # From here on a select on stdin is only the supervisor's.
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        call_yourself(name)
        raise_descriptor_limit()
        steps = work()
        pause = next(steps)
        os.write(writer, b"stands")
        while True:
            time.sleep(pause)
            pause = next(steps, FOREVER)
    except BaseException as failed:
        os.write(writer, f"{type(failed).__name__}: {failed}".encode()[:4096])
    finally:
        os._exit(1)


def call_yourself(name: str) -> None:
    """Set comm and the command line, so that `ps` and sockmon show a service and not a Python."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    # proc_pid_stat(5): fields 48 and 49 are arg_start and arg_end; the memory is ours to write.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, name.encode(), min(len(name.encode()), end - start - 1))
