"""Process sockmon-tty: restores the terminal when the screen is killed, and kills children that the screen leaves.

    sockmon ─┬─ sockmon-launch          (keeps the privilege, and starts the agent or ssh)
             ├─ sockmon-helper          (keeps the privilege)
             └─ sockmon-tty             (this process)

The screen holds the only write end of the pipe on its stdin and sends single bytes: TAKEN, GIVEN_BACK and LEAVING.
The pipe ends when the screen ends, for any reason. No handler of the screen runs on SIGKILL, SIGSEGV or an
out-of-memory kill, so only another process can do this. It is a fork of the screen before that has imported
Textual, and shares its memory with the launcher and the helper.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import time
from collections.abc import Sequence

from sockmon.own_process import set_name

TAKEN, GIVEN_BACK, LEAVING = b"+", b"-", b"q"
RESET = (
    b"\x1b[?2026l"  # end a synchronized update that was cut off
    b"\x1b[<u"  # plain keys; kitty has one stack of them for each screen
    b"\x1b[?1049l"  # leave the alternate screen
    b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # no mouse reports
    b"\x1b[?2004l\x1b[?1004l\x1b[?2048l"  # no bracketed paste, focus reports or size reports
    b"\x1b[?7h\x1b[0m\x1b[?25h\r\n"  # lines wrap, plain text, a visible cursor
)
WRITE_SECONDS = 1.0
"""Seconds that a terminal has to accept RESET: a terminal that no process reads must not delay the exit."""
GRACE_SECONDS = 0.8
"""Seconds that the children have to exit once their stdin is closed."""
_IGNORED = ("HUP", "INT", "QUIT", "TERM", "PIPE", "USR1", "USR2", "TSTP", "TTIN", "TTOU", "ABRT", "ALRM")


def write_reset(terminal: int) -> None:
    """Write as much of RESET to the non-blocking `terminal` as it accepts within WRITE_SECONDS.

    Its queue is not flushed: a stuck write holds the terminal's lock, and only a reader ends it."""
    left = RESET
    end = time.monotonic() + WRITE_SECONDS
    while left and time.monotonic() < end:
        select.select([], [terminal], [], 0.02)
        try:
            left = left[os.write(terminal, left) :]
        except BlockingIOError:
            continue


def open_terminal(terminal: int) -> int:
    """Open the terminal again, non-blocking; raise OSError if it cannot be opened.

    The flag belongs to the open file, which the shell shares with `terminal`."""
    return os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)


def _restore(terminal: int, output: int, modes: list[object]) -> None:
    try:
        now = termios.tcgetattr(terminal)
        # A faster shell has set its own modes already; only the screen has both of these off.
        if not now[3] & (termios.ISIG | termios.ICANON):
            termios.tcsetattr(terminal, termios.TCSANOW, modes)  # type: ignore[arg-type]
        write_reset(output)
        # Unread mouse reports must not become commands of the shell.
        termios.tcflush(terminal, termios.TCIFLUSH)
    except (OSError, termios.error):
        return


def _open_children(pids: Sequence[int]) -> dict[int, int]:
    """Return a pidfd for each pid: unlike a pid it is never reused."""
    handles = {}
    for pid in pids:
        try:
            handles[os.pidfd_open(pid)] = pid
        except OSError:
            continue
    return handles


def _end_children(handles: dict[int, int]) -> None:
    """Kill the children that are still running after GRACE_SECONDS, stopped ones too."""
    end = time.monotonic() + GRACE_SECONDS
    waiting = dict(handles)
    while waiting and (left := end - time.monotonic()) > 0:
        for handle in select.select(list(waiting), [], [], left)[0]:
            del waiting[handle]
    for handle in waiting:
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        except OSError:
            continue


def run(terminal: int, modes: list[object], pids: Sequence[int], ready: int) -> None:
    """Wait until the screen ends, then restore the `modes` of `terminal`, and end the children `pids`.

    Write our process id to the pipe `ready` when the screen may be killed."""
    # In a session of its own no signal of this terminal reaches it, nor one for the whole process group.
    os.setsid()
    for name in _IGNORED:
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
    set_name("sockmon-tty")
    children = _open_children(pids)
    try:
        output = open_terminal(terminal)
    except OSError:
        output = terminal
    os.write(ready, b"%d" % os.getpid())
    word = GIVEN_BACK
    while got := os.read(0, 1):
        if got == LEAVING:
            _end_children(children)
        else:
            word = got
    if word == TAKEN:
        _restore(terminal, output, modes)
    _end_children(children)
