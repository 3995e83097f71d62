"""Restores the terminal however the screen ends: also by a signal, or when the terminal is gone.

Textual restores it on an orderly exit, but not on SIGTERM, SIGHUP and SIGQUIT, and it loops if its terminal is
gone and SIGHUP is ignored. If no handler can run, `sockmon-tty` restores it (`tty_restorer.py`).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from sockmon.own_process import start_forked
from sockmon.ui import tty_restorer
from sockmon.ui.tty_restorer import GIVEN_BACK, LEAVING, TAKEN

log = logging.getLogger(__name__)

_SCREEN_FD = 2
"""Textual draws on standard error."""
_LEAVE_SECONDS = 1.8
"""Time that an orderly end may take; two seconds are promised."""
_START_SECONDS = 5.0
"""Time in which the restorer starts, even on a busy host; it has started long before Textual is imported."""
_SIGNALS = (
    *(signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGABRT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF),
    *(signal.SIGIO, signal.SIGPWR, signal.SIGXCPU),
)
"""The signals that end a process by default and still let a handler run; SIGSEGV does not."""


class Terminal:
    """The modes of the terminal before the screen, and the process that restores them if this one cannot."""

    def __init__(self, terminal: int = 0) -> None:
        """Save the modes of `terminal`."""
        self._terminal = terminal
        self._before: list[Any] | None = None
        self._code: int | None = None
        self._pipe = self._ready = -1
        self._its_ends: tuple[int, ...] = ()
        self._pid = 0
        try:
            self._before = termios.tcgetattr(terminal)
            self._make_pipes()
        except termios.error:
            return
        except OSError as error:
            log.warning("a killed screen will leave the terminal as it is: no process to restore it: %s", error)

    def _make_pipes(self) -> None:
        words, self._pipe = os.pipe()
        self._ready, ready = os.pipe()
        # Its standard input is a pipe, so the terminal gets another number.
        self._its_ends = words, ready, os.dup(self._terminal)

    @property
    def its_ends(self) -> Sequence[int]:
        """The descriptors that a process needs to call `start_restorer`."""
        return self._its_ends

    def start_restorer(self, children: Sequence[int]) -> None:
        """Start the process that restores the terminal, with the privileges of now.

        It kills `children` that outlive the screen, and they may have kept their privileges."""
        if not self._its_ends:
            return
        words, ready, terminal = self._its_ends
        restore = partial(tty_restorer.run, terminal, self._before or [], children, ready)
        try:
            start_forked(restore, (words, terminal, terminal), [terminal, ready])
        except OSError as error:
            log.warning("a killed screen will leave the terminal as it is: no process to restore it: %s", error)
        finally:
            self.close_its_ends()

    def close_its_ends(self) -> None:
        """Close what only the restorer may hold, so that it reads the end of this process."""
        for each in self._its_ends:
            os.close(each)
        self._its_ends = ()

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
        self._wait_for_restorer()
        self._signal_restorer(TAKEN)
        try:
            yield
        finally:
            self._set_modes()
            self._signal_restorer(GIVEN_BACK)

    def begin_exit(self, code: int) -> None:
        """Begin an orderly exit with `code`; exit at once after _LEAVE_SECONDS, whatever hangs."""
        self._code = code
        if self._pid:
            # It may be stopped, and it is the one that kills stopped children.
            with suppress(OSError):
                os.kill(self._pid, signal.SIGCONT)
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

    def _wait_for_restorer(self) -> None:
        """Wait until the restorer has started, because from now on the terminal may need it."""
        with suppress(OSError, ValueError):
            if self._ready >= 0 and select.select([self._ready], [], [], _START_SECONDS)[0]:
                self._pid = int(os.read(self._ready, 32) or 0)

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
