"""`python -m sockmon.labs.enter PID -- COMMAND…` runs a command in a process's namespaces; its exit code is ours.

nsenter(1) does the same, and is not installed everywhere.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from sockmon.labs import namespaces

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main() -> NoReturn:
    """Enter the namespaces of the process that argv names, and become the command or wait for it."""
    pid, _, *command = sys.argv[1:]
    outside = _device(namespaces.HOME)
    try:
        waits = namespaces.join(int(pid))
    except (OSError, ValueError) as error:
        sys.exit(f"sockmon: process {pid} cannot be joined: {error}")
    # Where it is still the host's nothing may be kept there.
    own = _device(namespaces.HOME) != outside
    os.environ[namespaces.HOME_NAME] = namespaces.HOME if own else ""
    if waits:
        _wait(command)
    else:
        # In a pid namespace the end of the lab is ours too; here nobody else would end us.
        namespaces.die_with_parent(signal.SIGTERM)
    _become(command)


def _device(path: str) -> int | None:
    """Which file system is there; None: nothing is."""
    with suppress(OSError):
        return os.stat(path).st_dev
    return None


def _wait(command: list[str]) -> None:
    """Only a child is in the pid namespace: in the parent, wait for it and end as it ended."""
    try:
        child = os.fork()
    except OSError as error:
        sys.exit(f"sockmon: no process can be started: {error.strerror}")
    if child == 0:
        namespaces.die_with_parent(signal.SIGKILL)
        return
    # ^C is the command's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _PASSED_ON:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def _become(command: list[str]) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"sockmon: {command[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    main()
