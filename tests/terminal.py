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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyte

from tests.netns import child_environment

SIZE = (40, 120)
SOCKMON = (sys.executable, "-m", "sockmon")


class Terminal:
    """sockmon on a pseudo-terminal, and everything that it sent."""

    def __init__(
        self,
        *argv: str,
        keyboard: int | None = None,
        command: Sequence[str] = SOCKMON,
        variables: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        size: tuple[int, int] = SIZE,
    ) -> None:
        """`command` runs with `argv`; `variables` are added to its environment; `size` is lines and columns."""
        self.controller, self.terminal = pty.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
        self.before = termios.tcgetattr(self.terminal)
        self.sent = b""
        self._shown = pyte.Screen(size[1], size[0])
        self._stream = pyte.Stream(self._shown)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        environment = child_environment() | {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        # They would win over the size of the terminal.
        environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        environment |= variables or {}
        self.process = subprocess.Popen(
            [*command, *argv],
            cwd=cwd,
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

    def until_last_line_ends(self, words: str, patience: float = 60.0) -> None:
        """Read until the last line ends with `words`: a frame arrives in pieces."""
        end = time.monotonic() + patience
        while not (line := self.screen().splitlines()[-1].rstrip()).endswith(words):
            assert time.monotonic() < end, f"{words!r} never ended the last line: {line!r}"
            self.read(0.2)

    def read(self, seconds: float) -> None:
        if select.select([self.controller], [], [], seconds)[0]:
            self.take(os.read(self.controller, 1 << 16))

    def take(self, more: bytes) -> None:
        """Draw what the screen has sent."""
        self.sent += more
        self._stream.feed(self._decoder.decode(more))

    def settle_until_quiet(self, quiet: float = 0.5) -> None:
        """Read until nothing comes for `quiet` seconds, at most for ten."""
        end = time.monotonic() + 10
        while time.monotonic() < end and select.select([self.controller], [], [], quiet)[0]:
            self.read(0.0)

    def settle(self) -> None:
        """Read until it has nothing more to say: an Esc and the next key must not arrive as one."""
        while select.select([self.controller], [], [], 0.7)[0]:
            self.read(0.0)

    def forget(self) -> None:
        """Take what was drawn so far from the screen: what is there later was drawn later."""
        self._shown.reset()

    def resize(self, lines: int, columns: int) -> None:
        """Give the terminal another size, as dragging the corner of its window does."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        self._shown.resize(lines, columns)

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
def on_terminal(
    *argv: str,
    keyboard: int | None = None,
    command: Sequence[str] = SOCKMON,
    variables: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    size: tuple[int, int] = SIZE,
) -> Iterator[Terminal]:
    terminal = Terminal(*argv, keyboard=keyboard, command=command, variables=variables, cwd=cwd, size=size)
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


def agent_of(screen: int, patience: float = 20.0) -> int:
    """The process id of the agent that the launcher of `screen` has started."""
    end = time.monotonic() + patience
    while True:
        for launcher in children_of(screen):
            for child in children_of(launcher):
                with suppress(OSError):
                    if b"--attached" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                        return child
        assert time.monotonic() < end, "there is no agent"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """The process ids of its children; none if it has ended."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
