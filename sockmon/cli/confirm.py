"""Confirmation on a terminal: a person types a word by hand.

A paste, a key that is held down, and what was typed before the prompt do not count. The terminal is in raw mode,
because the time of each letter tells typing from a paste.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sockmon.errors import TuningError
from sockmon.tuning.confirmation import KEY_HELD_DOWN, PASTED, TOO_EARLY, WORD, WRONG_WORD, ConfirmationWord

_UNCHANGED = "nothing was changed"
_ENTER, _END, _ERASE = b"\r\n", 0x04, b"\x7f\x08"


def confirm(notice: str) -> None:
    """Return when the word has been typed by hand; raise TuningError if it was not, or if there is no terminal.

    `notice` is the line above the prompt. Ctrl-C raises KeyboardInterrupt."""
    if not sys.stdin.isatty():
        raise TuningError("not confirmed: standard input is not a terminal", "in a script, use --yes")
    try:
        with _raw_mode(0):
            _write(f"{notice}\nType {WORD} to make it (Ctrl-C to cancel): ")
            with suppress(termios.error):
                termios.tcdrain(2)
            done = _read_word()
    except KeyboardInterrupt:
        _write(f"\n{_UNCHANGED}\n")
        raise
    _write("\n")
    if not done:
        raise TuningError(_UNCHANGED)


def _read_word() -> bool:
    """Return whether the word was typed before the input ended."""
    word = ConfirmationWord()
    word.preview_drawn(time.monotonic())
    while keys := _read_keys():
        now, shown = time.monotonic(), word.letters
        if _END in keys:
            return False
        # Several keys in one read came at the same time.
        if any(_press(word, key, now) for key in keys):
            _write(WORD[len(shown) :])
            return True
        _redraw(shown, word)
        if not word.rejection and keys in (b"\r", b"\n"):
            word.clear()
            _write(f"\n  {WRONG_WORD} (Ctrl-C to cancel): ")
    return False


def _press(word: ConfirmationWord, key: int, at: float) -> bool:
    """Handle a key; return whether it completes the word."""
    if key in _ERASE:
        word.backspace()
    elif key not in _ENTER:
        return word.press(chr(key), at)
    return False


def _redraw(shown: str, word: ConfirmationWord) -> None:
    _write("\b \b" * len(shown) + word.letters)
    if word.rejection in (TOO_EARLY, KEY_HELD_DOWN, PASTED):
        _write(f"\n  {word.rejection}; type it letter by letter: ")
    word.rejection = ""


def _read_keys() -> bytes:
    """Return the keys that were typed; none if the terminal is closed."""
    with suppress(OSError):
        return os.read(0, 4096)
    return b""


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextmanager
def _raw_mode(terminal: int) -> Iterator[None]:
    """Deliver each key immediately, discard what was typed before, and restore the terminal afterwards."""
    before, mode = termios.tcgetattr(terminal), termios.tcgetattr(terminal)
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    mode[6] = [*mode[6]]
    # Ctrl-Z is off: a shell switches the terminal to whole lines, whose letters all arrive at the same time.
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
