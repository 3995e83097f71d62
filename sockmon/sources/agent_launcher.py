"""The process that starts the agent, and starts it again.

    python -m sockmon.sources.agent_launcher PARENT SOCKET ARGV

    sockmon (gives up its privileges) ── socket ── sockmon-launch ── agent, or ssh to one

The screen gives up its privileges, so an agent that it started itself would have none. The launcher keeps those
that sockmon was started with, and takes two commands: start ARGV, and report how it ended. The launcher ends when
the socket is closed, and the kernel kills the agent then, even if it is stopped.

It imports little, because it runs as long as the screen, and has one thread, because PR_SET_PDEATHSIG belongs to a
thread: see prctl(2)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from sockmon.own_process import end_with_parent, set_name

START, STATUS = b"start", b"status"
MAX_ANSWER_BYTES = 4096
PIPES = 3
"""Descriptors that come with the answer to START: stdin, stdout and stderr of the agent."""
_GRACE_SECONDS = 1.0


class Launcher:
    """Answers commands one after the other; has at most one agent."""

    def __init__(self, screen: socket.socket, argv: Sequence[str]) -> None:
        self._screen = screen
        self._argv = argv
        self._agent: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Serve until the other side of the socket is closed."""
        while command := self._screen.recv(len(STATUS)):
            if command == START:
                self._start()
            else:
                self._send(self._status())
        with suppress(subprocess.TimeoutExpired):
            if self._agent is not None:
                self._agent.wait(_GRACE_SECONDS)

    def _start(self) -> None:
        self._status()
        try:
            # Safe, because there is no other thread. In a new session, so that Ctrl-C goes only to the screen.
            self._agent = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        except OSError as error:
            self._send({"errno": error.errno})
            return
        pipes = [pipe for pipe in (self._agent.stdin, self._agent.stdout, self._agent.stderr) if pipe]
        self._send({"pid": self._agent.pid}, *(pipe.fileno() for pipe in pipes))
        # Only the screen may hold the pipes, so that the agent's stdin ends when the screen closes it.
        for pipe in pipes:
            pipe.close()

    def _status(self) -> dict[str, object]:
        """Return how the agent ended; kill it if it does not end."""
        agent, self._agent = self._agent, None
        if agent is None:
            return {"code": None}
        try:
            return {"code": agent.wait(_GRACE_SECONDS)}
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()
            return {"code": None}

    def _send(self, answer: dict[str, object], *descriptors: int) -> None:
        socket.send_fds(self._screen, [json.dumps(answer).encode()], descriptors)


def main() -> None:
    """Serve the screen that started this process."""
    parent, number, *argv = sys.argv[1:]
    set_name("sockmon-launch")
    # In another process group of the same session, so that Ctrl-C does not reach it. If it is stopped when the
    # screen ends, the kernel wakes it (setpgid(2), orphaned process groups), whatever user the screen runs as.
    with suppress(PermissionError):
        os.setpgid(0, 0)
    end_with_parent(int(parent))
    with socket.socket(fileno=int(number)) as screen, suppress(OSError, KeyboardInterrupt):
        Launcher(screen, argv).run()


if __name__ == "__main__":
    main()
