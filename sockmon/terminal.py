"""The terminal as it was: given back on every way out, also when a signal ends us or the terminal is gone.

Textual puts it back when it ends by itself; on SIGTERM, SIGHUP and SIGQUIT it does not, and with its terminal gone
and SIGHUP ignored it would spin.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_RESET = (
    b"\x1b[?1049l"  # leave the alternate screen
    b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l"  # no mouse
    b"\x1b[?2004l\x1b[?1004l"  # no bracketed paste, no focus reports
    b"\x1b[<u\x1b[0m\x1b[?25h\r\n"  # plain keys, plain text, a cursor
)
_SCREEN = 2
"""Textual draws on standard error."""
_PATIENCE = 1.5
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@contextmanager
def kept(terminal: int = 0) -> Iterator[None]:
    """Give `terminal` back as it is now, whichever way the block ends."""
    try:
        before = termios.tcgetattr(terminal)
    except termios.error:
        yield
        return

    def restore() -> None:
        with suppress(termios.error, OSError):
            termios.tcsetattr(terminal, termios.TCSANOW, before)

    def leave(number: int, frame: FrameType | None) -> None:
        # The event loop may be stuck in a write to a terminal that nobody reads: ask nothing of it any more.
        with suppress(OSError, termios.error):
            # A door of our own: the flag that ours would need is the shell's too. What Textual's thread still has
            # to write goes nowhere.
            door = os.open(os.ttyname(_SCREEN), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.dup2(os.open(os.devnull, os.O_WRONLY), _SCREEN)
            _say(door, _RESET)
        restore()
        os._exit(128 + number)

    for number in _SIGNALS:
        signal.signal(number, leave)
    threading.Thread(target=_until_gone, args=(terminal,), daemon=True, name="terminal").start()
    try:
        yield
    finally:
        restore()


def _say(terminal: int, words: bytes) -> None:
    """Write to the terminal as soon as it takes something, if that is soon.

    What waits there is not flushed: a write of ours that is stuck half-way holds the terminal, and only somebody
    who reads wakes it."""
    end = time.monotonic() + _PATIENCE
    while words and time.monotonic() < end:
        select.select([], [terminal], [], 0.02)
        with suppress(BlockingIOError):
            words = words[os.write(terminal, words) :]


def _until_gone(terminal: int) -> None:
    """End the process when its terminal has gone: there is nobody left to show anything to."""
    watch = select.poll()
    watch.register(terminal, 0)
    watch.poll()
    os._exit(128 + signal.SIGHUP)
