"""A stream from an agent that runs as a child process: on this machine, or on another one over ssh."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO

from sockmon.errors import BadRecording, SourceLost
from sockmon.model.clean import clean
from sockmon.model.detail import Detail, Request
from sockmon.model.snapshot import Snapshot
from sockmon.sources.wire import Hello, encode, read_stream


class Child:
    """An agent behind two pipes; it is started at once, and ends when its stdin does."""

    def __init__(self, argv: Sequence[str], title: str, live: bool = True) -> None:
        self.title = title
        self.live = live
        self._closed = False
        try:
            # A session of its own: Ctrl-C at the terminal is for the screen, which then closes the agent.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceLost(f"the agent could not be started: {error.strerror}") from error

    def lines(self) -> Iterator[Snapshot | Detail]:
        """What the agent sends; SourceLost, with its last words, when it ends on its own."""
        try:
            for line in read_stream(_pipe(self._process.stdout), "the agent's stream"):
                if not isinstance(line, Hello):
                    yield line
        except (BadRecording, OSError, ValueError) as error:
            if not self._closed:
                raise self._lost(str(error)) from error
            return
        if not self._closed:
            raise self._lost("the agent has ended")

    def _lost(self, otherwise: str) -> SourceLost:
        """Why the agent ended: a signal, or what it said on stderr before it did (the error, then a hint)."""
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            return SourceLost(otherwise)
        if self._process.returncode < 0:
            return SourceLost(f"the agent was ended by {signal.Signals(-self._process.returncode).name}")
        lines = [clean(line.strip()) for line in _pipe(self._process.stderr).read(65536).splitlines()]
        said = next((at for at, line in enumerate(lines) if line.startswith("sockmon: ")), None)
        if said is None:
            return SourceLost(lines[-1] if lines else otherwise)
        return SourceLost(lines[said].removeprefix("sockmon: "), " ".join(lines[said + 1 :]))

    def ask(self, request: Request) -> bool:
        """Send `request` to the agent; False when the agent is gone."""
        pipe = _pipe(self._process.stdin)
        try:
            pipe.write(encode(request))
            pipe.flush()
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        """Close the agent's stdin, which ends it: it may run with more privileges than we have kept, so it
        cannot be sent a signal."""
        if not self._closed:
            self._closed = True
            with suppress(OSError):
                _pipe(self._process.stdin).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def local_agent(interval: float, netns: str | None) -> Child:
    """The agent of this machine, in an interpreter that no environment variable can lead astray."""
    argv = [sys.executable, "-I", "-m", "sockmon", "agent", "--attached", "--interval", str(interval)]
    return Child(argv + (["--netns", netns] if netns is not None else []), "live")


def ssh_agent(host: str, interval: float) -> Child:
    """The agent of another machine; sockmon has to be installed there."""
    argv = [
        "ssh",
        "-o",
        "BatchMode=yes",
        "--",
        host,
        "sockmon",
        "agent",
        "--attached",
        "--interval",
        str(interval),
    ]
    return Child(argv, f"ssh {clean(host, 40)}", live=True)
