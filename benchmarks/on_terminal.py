"""A program on a pseudo-terminal of 120x40: what it uses, and what it sends."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from benchmarks.measure import family, processor_seconds
from sockmon.sandbox.namespaces import TOOL_PATH

LINES, COLUMNS = 40, 120
END_SECONDS = 5.0
DROPPED = ("COLUMNS", "LINES", "NO_COLOR", "PYTHONPATH")
"""Variables that would change what a program draws, or where one in Python finds its modules."""


@dataclass
class Screen:
    """A program on a terminal of its own."""

    name: str
    process: subprocess.Popen[bytes]
    terminal: int
    sent: int = 0

    def seconds(self) -> float:
        """Return the processor seconds of it and of everything that it has started."""
        return processor_seconds(family(self.process.pid))

    @property
    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self.process.poll() is not None

    def press(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self.terminal, keys.encode())

    def first_byte(self, patience: float) -> float | None:
        """Return the seconds until it sends something; None if it sends nothing in time."""
        begin = time.monotonic()
        if not select.select([self.terminal], [], [], patience)[0]:
            return None
        took = time.monotonic() - begin
        self.take()
        return took

    def shows(self, text: bytes, patience: float) -> bool:
        """Return whether it sends `text` in time."""
        end, sent = time.monotonic() + patience, b""
        while text not in sent:
            if not select.select([self.terminal], [], [], max(end - time.monotonic(), 0.0))[0] or self.ended:
                return False
            sent += os.read(self.terminal, 1 << 16)
        return True

    def take(self) -> None:
        """Read what it has sent; nothing if it has ended."""
        with suppress(OSError):
            self.sent += len(os.read(self.terminal, 1 << 16))


def watch_all(screens: Sequence[Screen], seconds: float) -> None:
    """Read what all of them send for so long, or until one ends: a program whose terminal is not read waits."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready = select.select([screen.terminal for screen in screens], [], [], left)[0]
        for screen in screens:
            if screen.terminal in ready:
                screen.take()
        if any(screen.ended for screen in screens):
            return


@contextmanager
def on_terminal(name: str, argv: Sequence[str]) -> Iterator[Screen]:
    """Run `argv` on a terminal, with a home of its own: nothing of it is left behind."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", LINES, COLUMNS, 0, 0))
    home = tempfile.mkdtemp(prefix="sockmon-benchmark-")
    kept = {key: value for key, value in os.environ.items() if key not in DROPPED}
    own = dict.fromkeys(("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"), home)
    fixed = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PATH": TOOL_PATH}
    process = subprocess.Popen(
        argv, stdin=terminal, stdout=terminal, stderr=terminal, env=kept | own | fixed,
        preexec_fn=partial(_take_terminal, terminal),
    )  # fmt: skip
    os.close(terminal)
    screen = Screen(name, process, controller)
    try:
        yield screen
    finally:
        _end(screen)
        os.close(controller)
        shutil.rmtree(home, ignore_errors=True)


def _take_terminal(terminal: int) -> None:
    """In the child: begin a session whose controlling terminal is this one, as a shell would give it."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _end(screen: Screen) -> None:
    """Let it end; what does not end is killed."""
    started = family(screen.process.pid)
    with suppress(ProcessLookupError):
        screen.process.terminate()
    end = time.monotonic() + END_SECONDS
    while screen.process.poll() is None and time.monotonic() < end:
        if select.select([screen.terminal], [], [], 0.1)[0]:
            screen.take()
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    screen.process.wait()
