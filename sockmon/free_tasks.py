"""Check that this user can start enough processes and threads, which the kernel counts together as tasks.

A start that fails half-way would leave a part of sockmon running, and the terminal unusable. So a command that
needs several tasks first starts as many threads that do nothing: no file shows how many tasks are left, because
four limits apply (pids.max of each cgroup, RLIMIT_NPROC, kernel.pid_max, kernel.threads-max)."""

from __future__ import annotations

import os
import threading
import time

from sockmon.errors import NoFreeTask

SCREEN, LIVE, SANDBOX = 5, 14, 4
"""Tasks of a screen alone; of a screen with agent, helper and guard; of a lab when it starts."""
HINT = (
    "raise pids.max of the cgroup, `ulimit -u` or kernel.pid_max, or end processes;"
    " `sockmon check` starts no other"
)
_END_SECONDS = 2.0


def require(count: int, what: str) -> None:
    """Raise NoFreeTask, with the number of free tasks, unless `count` tasks can be started now.

    The tasks that this starts have ended when it returns."""
    found = _startable(count)
    if found < count:
        raise NoFreeTask(f"{what} needs {count} free processes or threads, but only {found} can be started", HINT)


def none_free() -> NoFreeTask:
    """Return the error for a start that has just failed."""
    return NoFreeTask("no free process or thread", HINT)


def none_left() -> bool:
    """Return whether no task can be started now."""
    return _startable(1) == 0


def _startable(most: int) -> int:
    end = threading.Event()
    threads: list[threading.Thread] = []
    before = _running()
    try:
        for _ in range(most):
            thread = threading.Thread(target=end.wait, daemon=True, name="free")
            thread.start()
            threads.append(thread)
    except RuntimeError:
        # Python raises no more specific error if a thread cannot be started.
        pass
    finally:
        end.set()
        for thread in threads:
            thread.join()
    # The kernel still counts a thread for a moment after Python has joined it.
    late = time.monotonic() + _END_SECONDS
    while _running() > before and time.monotonic() < late:
        time.sleep(0.001)
    return len(threads)


def _running() -> int:
    """Return the number of threads of this process; 0 if /proc cannot be read."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0
