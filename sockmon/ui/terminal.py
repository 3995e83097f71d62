"""Restores the terminal however the screen ends: also by a signal, or when the terminal is gone.

Textual restores it on an orderly exit, but not on SIGTERM, SIGHUP and SIGQUIT, and it loops if its terminal is
gone and SIGHUP is ignored. If no handler can run, `sockmon-tty` restores it (`tty_restorer.py`).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from sockmon.ui import tty_restorer
from sockmon.ui.tty_restorer import GIVEN_BACK, LEAVING, TAKEN, encode_modes

log = logging.getLogger(__name__)

_SCREEN_FD = 2
"""Textual draws on standard error."""
_LEAVE_SECONDS = 1.8
"""Time that an orderly end may take; two seconds are promised."""
_SIGNALS = (
    *(signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGABRT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGIO, signal.SIGPWR, signal.SIGXCPU),
)
"""The signals that end a process by default and still let a handler run; SIGSEGV does not."""


class Terminal:
    """The modes of the terminal before the screen, and the process that restores them if this one cannot."""

    def __init__(self, children: Sequence[int] = (), terminal: int = 0) -> None:
        """Save the modes of `terminal`, and start the process with the privileges of now: it kills `children` that
        outlive the screen, and they may have kept their privileges."""
        self._terminal = terminal
        self._before: list[Any] | None = None
        self._code: int | None = None
        self._pipe = -1
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._before = termios.tcgetattr(terminal)
        except termios.error:
            return
        try:
            self._start(children)
        except OSError as error:
            log.warning("a killed screen will leave the terminal as it is: no process to restore it: %s", error)

    def _start(self, children: Sequence[int]) -> None:
        # Its standard input is the pipe, so the terminal gets another number.
        terminal = os.dup(self._terminal)
        argv = [sys.executable, "-I", "-S", tty_restorer.__file__, str(terminal), encode_modes(self._before or [])]
        try:
            # Popen closes what the child is not given, and closes our end in all children that come later. In a
            # session of its own no signal of this terminal reaches it, nor one for the whole process group.
            self._process = subprocess.Popen(
                [*argv, *map(str, children)], stdin=subprocess.PIPE, pass_fds=[terminal], start_new_session=True
            )
        finally:
            os.close(terminal)
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()

    @contextmanager
    def restored_at_end(self) -> Iterator[None]:
        """Restore the terminal, whichever way the block ends. Privileges must be dropped before: this starts a
        thread, and capabilities belong to threads."""
        if self._before is None:
            yield
            return
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        threading.Thread(target=_exit_on_hangup, args=(self._terminal,), daemon=True, name="terminal").start()
        self._signal_restorer(TAKEN)
        try:
            yield
        finally:
            self._set_modes()
            self._signal_restorer(GIVEN_BACK)

    def begin_exit(self, code: int) -> None:
        """Begin an orderly exit with `code`; exit at once after _LEAVE_SECONDS, whatever hangs."""
        self._code = code
        if self._process is not None:
            # It may be stopped, and it is the one that kills stopped children.
            with suppress(OSError):
                self._process.send_signal(signal.SIGCONT)
        self._signal_restorer(LEAVING)
        signal.setitimer(signal.ITIMER_REAL, _LEAVE_SECONDS)

    def can_be_continued(self) -> bool:
        """Return whether a shell with job control started us: a process of our session, outside of our group.

        The kernel would not stop us otherwise (SIGTSTP in an orphaned process group), but Textual uses SIGSTOP."""
        pid, group, session = os.getppid(), os.getpgrp(), os.getsid(0)
        try:
            # sudo, make and env stay in our group, between the shell and us.
            while pid > 1 and os.getpgid(pid) == group:
                pid = _parent(pid)
            return pid > 1 and os.getsid(pid) == session
        except OSError:
            return False

    def suspended(self) -> None:
        """Record that the shell has the terminal."""
        self._signal_restorer(GIVEN_BACK)

    def resumed(self) -> None:
        """Record that the screen has the terminal again."""
        self._signal_restorer(TAKEN)

    def _signal_restorer(self, word: bytes) -> None:
        with suppress(OSError):
            os.write(self._pipe, word)

    def _set_modes(self) -> None:
        with suppress(termios.error, OSError):
            termios.tcsetattr(self._terminal, termios.TCSANOW, self._before or [])

    def _on_signal(self, number: int, frame: FrameType | None) -> NoReturn:
        """Exit now, without the event loop: it may hang in a write to a terminal that no process reads."""
        with suppress(OSError, termios.error):
            output = tty_restorer.open_terminal(_SCREEN_FD)
            # Output that Textual's thread still holds is dropped.
            os.dup2(os.open(os.devnull, os.O_WRONLY), _SCREEN_FD)
            tty_restorer.write_reset(output)
        self._set_modes()
        self._signal_restorer(GIVEN_BACK)
        late = number == signal.SIGALRM and self._code is not None
        os._exit(self._code if late and self._code is not None else 128 + number)


def _parent(pid: int) -> int:
    """Return the parent of `pid` (proc_pid_stat(5), ppid)."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _exit_on_hangup(terminal: int) -> None:
    """Exit when the terminal is gone."""
    watch = select.poll()
    watch.register(terminal, 0)
    watch.poll()
    os._exit(128 + signal.SIGHUP)
