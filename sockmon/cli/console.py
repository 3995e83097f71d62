"""The standard streams of the verbs: messages, errors with their exit codes, progress, the keyboard."""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from sockmon import free_tasks, log
from sockmon.cli import usage
from sockmon.errors import PREFIX, SockmonError
from sockmon.text import sanitize

MAX_MESSAGE_CHARS = 2000


def width() -> int:
    """Return the columns of the terminal."""
    return shutil.get_terminal_size().columns


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Draw a progress bar on a line of the terminal: a fraction and a text; an empty text clears the line."""
    drawn = 0.0

    def draw(fraction: float, text: str) -> None:
        nonlocal drawn
        now = time.monotonic()
        # Progress is reported more often than a slow terminal can show it.
        if sys.stderr.isatty() and (not text or now > drawn + 0.1):
            filled = round(fraction * 20)
            line = f"{'#' * filled}{'.' * (20 - filled)} {text}"[: width() - 1] if text else ""
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
            drawn = now if text else 0.0

    try:
        yield draw
    finally:
        if drawn:
            draw(0.0, "")


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """After one second show on a terminal that it goes on: `text` and the seconds, until the work is done."""
    if not sys.stderr.isatty():
        yield
        return
    begin = time.monotonic()

    def show(number: int, frame: FrameType | None) -> None:
        line = f"{text}: {time.monotonic() - begin:.0f} s"[: width() - 1]
        os.write(sys.stderr.fileno(), f"\r\x1b[K{line}".encode())

    # A timer needs no thread, beside which no child may be forked.
    before = signal.signal(signal.SIGALRM, show)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if time.monotonic() - begin >= 1.0:
            os.write(sys.stderr.fileno(), b"\r\x1b[K")


def open_standard_streams() -> None:
    """Open /dev/null in place of each standard stream that is closed, so that no other file gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None and os.open(os.devnull, os.O_RDWR) == number:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def require_terminal() -> None:
    """Raise SockmonError unless a screen can be drawn on standard output and standard error."""
    hint = "for one report without a screen use: sockmon check"
    # Textual draws on standard error, so that must be a terminal too.
    for name, stream in (("output", sys.stdout), ("error", sys.stderr)):
        if not stream.isatty():
            raise SockmonError(f"the screen needs a terminal, but standard {name} is not one", hint)
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        raise SockmonError(
            "the screen needs a terminal that can move its cursor, but TERM is dumb or not set", hint
        )


def has_screen() -> bool:
    """Return whether a screen can be drawn on standard output and standard error."""
    try:
        require_terminal()
    except SockmonError:
        return False
    return True


def reopen_tty_as_stdin() -> None:
    """Make the terminal the standard input, which was a pipe or a file; raise SockmonError without a terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        raise SockmonError(f"there is no terminal to read keys from: {error.strerror}") from error
    os.dup2(terminal, 0)
    os.close(terminal)


def print_message(message: str) -> None:
    """Print `message` on standard error; it may quote foreign text, so it is sanitized."""
    click.echo(sanitize(message, MAX_MESSAGE_CHARS), err=True)


def print_notice(message: str) -> None:
    """Print `message` on standard error after the name of the program."""
    print_message(f"{PREFIX}{message}")


def try_print_message(message: str) -> None:
    """Print `message` on standard error; ignore a standard error that cannot be written."""
    with suppress(OSError):
        print_message(message)


def exit_code(error: BaseException) -> int:
    """Print what ended the work of a verb, and return its exit code."""
    if isinstance(error, SockmonError):
        return print_error(error)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return usage.INTERRUPTED
    assert isinstance(error, Exception)
    return print_fault(error)


def print_fault(error: Exception) -> int:
    """Print an unexpected exception, and return its exit code."""
    # Python raises a plain RuntimeError if a thread cannot be started.
    starved = isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno == errno.EAGAIN)
    if starved and free_tasks.none_left():
        return print_error(free_tasks.none_free())
    if isinstance(error, OSError):
        # Standard output cannot be written any more; the interpreter must not report that when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            logging.getLogger(__name__).warning("sockmon %s ended", " ".join(sys.argv[1:]), exc_info=error)
            print_notice(error.strerror or str(error))
        return usage.FAILED
    logging.getLogger(__name__).error("sockmon %s ended", " ".join(sys.argv[1:]), exc_info=error)
    print_notice(f"{type(error).__name__}: {error}")
    if hint := log.hint():
        print_message(f"  {hint}")
    return usage.FAULT


def print_error(error: SockmonError) -> int:
    """Print an error with its hint, and return its exit code."""
    print_notice(error.message)
    if error.hint:
        print_message(f"  {error.hint}")
    return error.exit_code


def print_usage_error(error: click.UsageError) -> None:
    """Print what is wrong with the command line, and the usage of the command."""
    text = io.StringIO()
    error.show(text)
    for line in text.getvalue().rstrip().split("\n"):
        print_message(line)


def print_intended(command: str) -> None:
    """Print the command that was probably meant, if there is one."""
    if command:
        print_message(f"did you mean: {command}")
