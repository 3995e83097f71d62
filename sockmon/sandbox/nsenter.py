"""Run a command in the namespaces of a process: `python -m sockmon.sandbox.nsenter PID -- COMMAND…`.

Exits with the exit code of the command. nsenter(1) does the same, but is not installed everywhere.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from sockmon.sandbox import namespaces

_FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main() -> NoReturn:
    """Enter the namespaces of the process that argv names, then run the command there."""
    pid, _, *command = sys.argv[1:]
    host_device = _device_of(namespaces.STATE_ROOT)
    try:
        new_pid_namespace = namespaces.join_process(int(pid))
    except (OSError, ValueError) as error:
        sys.exit(f"sockmon: the namespaces of process {pid} cannot be entered: {error}")
    # On the host's file system no state of a change may be kept.
    private = _device_of(namespaces.STATE_ROOT) != host_device
    os.environ[namespaces.STATE_ROOT_VARIABLE] = namespaces.STATE_ROOT if private else ""
    if new_pid_namespace:
        _fork_and_wait()
    else:
        # The kernel ends us with a private pid namespace; without one, we must ask for it.
        namespaces.die_with_parent(signal.SIGTERM)
    _exec(command)


def _device_of(path: str) -> int | None:
    """Return the device of the file system at `path`; None if there is no such path."""
    with suppress(OSError):
        return os.stat(path).st_dev
    return None


def _fork_and_wait() -> None:
    """Return in a child, which is in the pid namespace; in the parent, wait for it and exit with its exit code."""
    try:
        child = os.fork()
    except OSError as error:
        sys.exit(f"sockmon: cannot start a process: {error.strerror}")
    if child == 0:
        namespaces.die_with_parent(signal.SIGKILL)
        return
    # The command handles ^C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _FORWARDED_SIGNALS:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def _exec(command: list[str]) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"sockmon: {command[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    main()
