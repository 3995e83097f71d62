"""The process that starts the agent, and starts it again.

    sockmon (gives up its privileges) ── socket ── sockmon-launch ── agent, or ssh to one

The screen gives up its privileges, so an agent that it started itself would have none. The launcher keeps those
that sockmon was started with, and takes two commands: start the agent, and report how it ended. The launcher ends
when the socket is closed, and the kernel kills the agent then, even if it is stopped.

It is a fork of the screen before that has imported Textual. It imports what the agent of this machine needs, forks
each agent, and starts the other processes of the screen once (`also`). It runs nothing of them itself: the memory
of what it has imported stays as it was, and all of them share it. It has one thread, because PR_SET_PDEATHSIG
belongs to a thread: see prctl(2)."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from sockmon.own_process import end_with_parent, set_name, start_forked, wait

log = logging.getLogger(__name__)

START, STATUS = b"start", b"status"
MAX_ANSWER_BYTES = 4096
PIPES = 3
"""Descriptors that come with the answer to START: stdin, stdout and stderr of the agent."""
LoadAgent = Callable[[], Callable[[], int]]
"""Imports the agent of this machine, and returns what runs it and returns its exit code."""
StartOthers = Callable[[], object]
"""Starts the other processes that keep the privilege."""
_GRACE_SECONDS = 1.0


class Launcher:
    """Answers commands one after the other; has at most one agent."""

    def __init__(self, screen: socket.socket, agent: LoadAgent | Sequence[str], also: StartOthers) -> None:
        """`agent`: the agent of this machine, or the command line of ssh."""
        self._screen = screen
        self._agent = agent
        self._also: StartOthers | None = also
        self._run: Callable[[], int] | None = None
        self._pid = 0

    def run(self) -> None:
        """Serve until the other side of the socket is closed."""
        while command := self._screen.recv(len(STATUS)):
            if command == START:
                self._start()
                # After the agent, for whose first sample the screen waits.
                if self._also is not None:
                    self._also()
                    self._also = None
            else:
                self._send(self._status())
        if self._pid:
            wait(self._pid, _GRACE_SECONDS)

    def _start(self) -> None:
        self._status()
        pipes: list[int] = []
        try:
            for _ in range(PIPES):
                pipes += os.pipe()
            stdin, to_agent, from_agent, stdout, errors, stderr = pipes
            self._pid = self._start_agent((stdin, stdout, stderr))
            # Only the screen may hold the pipes, so that the agent's stdin ends when the screen closes it.
            self._send({"pid": self._pid}, to_agent, from_agent, errors)
        except OSError as error:
            self._send({"errno": error.errno})
        finally:
            for each in pipes:
                os.close(each)

    def _start_agent(self, streams: Sequence[int]) -> int:
        """Start the agent and return its process id; raise OSError if it cannot be started."""
        if isinstance(self._agent, Sequence):
            return _start_command(partial(_become_agent, os.getpid()), self._agent, streams)
        if self._run is None:
            # Here, so that the next agent needs no file, and shares the memory too.
            self._run = self._agent()
        return start_forked(partial(_run_agent, os.getpid(), self._run), streams)

    def _status(self) -> dict[str, object]:
        """Return how the agent ended; kill it if it does not end."""
        pid, self._pid = self._pid, 0
        if not pid:
            return {"code": None}
        code = wait(pid, _GRACE_SECONDS)
        if code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return {"code": code}

    def _send(self, answer: dict[str, object], *descriptors: int) -> None:
        socket.send_fds(self._screen, [json.dumps(answer).encode()], descriptors)


def _become_agent(launcher: int) -> None:
    """Let this process end with the launcher, in a new session, so that Ctrl-C goes only to the screen."""
    os.setsid()
    end_with_parent(launcher)


def _run_agent(launcher: int, run: Callable[[], int]) -> None:
    _become_agent(launcher)
    os._exit(run())


def _start_command(prepare: Callable[[], object], argv: Sequence[str], streams: Sequence[int]) -> int:
    """Fork a process that becomes `argv`; return its process id, raise OSError if that cannot be executed."""
    reader, writer = os.pipe()

    def execute() -> None:
        prepare()
        # The pipe ends with the start of the program.
        fcntl.fcntl(writer, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        # Python ignores them, and a program would inherit that.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvp(argv[0], list(argv))
        except OSError as error:
            os.write(writer, b"%d" % (error.errno or 0))

    try:
        pid = start_forked(execute, streams, [writer])
    finally:
        os.close(writer)
        with open(reader, "rb") as failed:
            code = failed.read()
    if code:
        os.waitpid(pid, 0)
        raise OSError(int(code), os.strerror(int(code)))
    return pid


def start_new(screen: socket.socket, argv: Sequence[str]) -> int:
    """Start a launcher of ssh as an interpreter of its own; return its process id, raise OSError.

    For a process with threads: in a fork of it a lock could stay locked for ever."""
    words = [sys.executable, "-I", "-m", "sockmon.sources.agent_launcher", str(os.getpid()), *argv]
    actions = [
        (os.POSIX_SPAWN_DUP2, screen.fileno(), 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    return os.posix_spawn(sys.executable, words, os.environ, file_actions=actions)


def serve(parent: int, screen: socket.socket, agent: LoadAgent | Sequence[str], also: StartOthers) -> None:
    """Be the launcher of the screen that has the process id `parent`."""
    set_name("sockmon-launch")
    # In another process group of the same session, so that Ctrl-C does not reach it. If it is stopped when the
    # screen ends, the kernel wakes it (setpgid(2), orphaned process groups), whatever user the screen runs as.
    with suppress(PermissionError):
        os.setpgid(0, 0)
    end_with_parent(parent)
    try:
        Launcher(screen, agent, also).run()
    except (OSError, KeyboardInterrupt):
        log.debug("the screen has ended")
    except Exception:
        log.exception("the launcher ended")


if __name__ == "__main__":
    serve(int(sys.argv[1]), socket.socket(fileno=os.dup(0)), sys.argv[2:], lambda: None)
