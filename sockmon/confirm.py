"""The typed word: a person has seen what was drawn, and it is no paste, no key that hangs, nothing typed before.

The terminal is read letter by letter, because when they come tells a hand from a paste.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sockmon.errors import NotTuned
from sockmon.ui.typed import EARLY, HELD, PASTED, WORD, Typed

_NOTHING = "nothing was changed"
_ENTER, _END, _ERASE = b"\r\n", 0x04, b"\x7f\x08"


def confirm(what: str) -> None:
    """Return when the word was typed by hand, letter by letter; NotTuned where it was not, and where nobody can.

    `what` says what it is for. Ctrl-C is a KeyboardInterrupt, as ever."""
    if not sys.stdin.isatty():
        raise NotTuned("nobody can confirm it: standard input is no terminal", "in a script: --yes")
    try:
        with _letter_by_letter(0):
            _draw(f"Type {WORD} {what} (Ctrl-C: leave it): ")
            with suppress(termios.error):
                termios.tcdrain(2)
            done = _typed()
    except KeyboardInterrupt:
        _draw(f"\n{_NOTHING}\n")
        raise
    _draw("\n")
    if not done:
        raise NotTuned(_NOTHING)


def _typed() -> bool:
    """Whether the word came before the end."""
    word = Typed()
    word.drawn(time.monotonic())
    while keys := _read():
        now, shown = time.monotonic(), word.letters
        if _END in keys:
            return False
        # Several in one piece are several within no time.
        if any(_press(word, key, now) for key in keys):
            _draw(WORD[len(shown) :])
            return True
        _redraw(shown, word)
    return False


def _press(word: Typed, key: int, at: float) -> bool:
    """Take a key; True where it completes the word."""
    if key in _ERASE:
        word.back()
    elif key not in _ENTER:
        return word.press(chr(key), at)
    return False


def _redraw(shown: str, word: Typed) -> None:
    _draw("\b \b" * len(shown) + word.letters)
    if word.why in (EARLY, HELD, PASTED):
        _draw(f"\n  {word.why}; type it letter by letter: ")
        word.why = ""


def _read() -> bytes:
    """Keys; none where the terminal is gone."""
    with suppress(OSError):
        return os.read(0, 4096)
    return b""


def _draw(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextmanager
def _letter_by_letter(terminal: int) -> Iterator[None]:
    """Keys as they come, and none of before; the terminal as it was afterwards, with none left for a shell."""
    before, mode = termios.tcgetattr(terminal), termios.tcgetattr(terminal)
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    mode[6] = [*mode[6]]
    # Whoever is stopped gets the terminal back by the line, all letters of it at once.
    mode[6][termios.VMIN], mode[6][termios.VTIME], mode[6][termios.VSUSP] = 1, 0, b"\0"
    numbers = (signal.SIGTERM, signal.SIGHUP)
    handlers = [(number, signal.signal(number, signal.default_int_handler)) for number in numbers]
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, mode)
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        for number, handler in handlers:
            signal.signal(number, handler)
