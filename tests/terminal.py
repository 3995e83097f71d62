"""The real program on a real pseudo-terminal, and what a person sees there."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyte

from tests.netns import child_environment

SIZE = (40, 120)


class Terminal:
    """sockmon on a pseudo-terminal, and everything that it sent."""

    def __init__(self, *argv: str, keyboard: int | None = None) -> None:
        self.controller, self.terminal = pty.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", *SIZE, 0, 0))
        self.before = termios.tcgetattr(self.terminal)
        self.sent = b""
        self._shown = pyte.Screen(SIZE[1], SIZE[0])
        self._stream = pyte.Stream(self._shown)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        environment = child_environment() | {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        # They would win over the size of the terminal.
        environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sockmon", *argv],
            stdin=self.terminal if keyboard is None else keyboard,
            stdout=self.terminal,
            stderr=self.terminal,
            env=environment,
            preexec_fn=self._take_terminal,
        )

    def _take_terminal(self) -> None:
        """In the child: a session whose controlling terminal is ours, as a shell would give it."""
        os.setsid()
        fcntl.ioctl(self.terminal, termios.TIOCSCTTY, 0)

    def until(self, words: str, patience: float = 60.0) -> str:
        """The screen once it shows `words`."""
        end = time.monotonic() + patience
        while words not in (shown := self.screen()):
            assert time.monotonic() < end, f"{words!r} never came:\n{shown}"
            self.read(0.2)
        return shown

    def read(self, seconds: float) -> None:
        if select.select([self.controller], [], [], seconds)[0]:
            more = os.read(self.controller, 1 << 16)
            self.sent += more
            self._stream.feed(self._decoder.decode(more))

    def settle(self) -> None:
        """Read until it has nothing more to say: an Esc and the next key must not arrive as one."""
        while select.select([self.controller], [], [], 0.7)[0]:
            self.read(0.0)

    def press(self, keys: str) -> None:
        os.write(self.controller, keys.encode())

    def screen(self) -> str:
        """What a person sees now."""
        return "\n".join(self._shown.display)

    def end(self) -> int:
        """Let it end by itself, reading what it still says."""
        end = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        self.settle()
        return self.process.wait(1)


@contextmanager
def on_terminal(*argv: str, keyboard: int | None = None) -> Iterator[Terminal]:
    terminal = Terminal(*argv, keyboard=keyboard)
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()
        for descriptor in (terminal.controller, terminal.terminal):
            try:
                os.close(descriptor)
            except OSError:
                continue
