"""Write a line on every terminal that a user is logged in at, as wall(1) does.

Which terminals: those of utmp, read by psutil because only the C library knows how long a record is here; those of
systemd's sessions, for systems without utmp; and every pseudo-terminal, because utmp misses panes of tmux and most
graphical terminals. Nothing waits for a terminal, no process is started, and nothing is written but to terminals.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from sockmon.text import sanitize

MAX_LINE_CHARS = 1000
_NAME = re.compile(r"(pts/[0-9]{1,6}|tty[0-9A-Za-z]{1,10}|hvc[0-9]{1,3})")
_TTY_MAJORS = frozenset({4, 204, 229, *range(136, 144)})
"""Consoles, serial lines, hypervisor consoles, pseudo-terminals (admin-guide/devices.txt)."""
_log = logging.getLogger(__name__)


def broadcast(messages: Iterable[str], root: str | Path = "/", terminals: Iterable[str] = ()) -> int:
    """Write each message to all of these terminals and to `terminals`; return the number of terminals."""
    lines = "".join(f"\r{sanitize(message, MAX_LINE_CHARS)}\r\n" for message in messages)
    data = f"\r\n{lines}".encode()
    names = {*_utmp_terminals(), *_logind_terminals(Path(root)), *_pseudo_terminals(Path(root)), *terminals}
    return sum(_write_to(Path(root, "dev", name), data) for name in sorted(names) if _NAME.fullmatch(name))


def _utmp_terminals() -> list[str]:
    """Return the terminals of utmp(5); empty if the system has none."""
    try:
        # Imported here, because it takes 20 ms and most guards never need it.
        import psutil

        return [user.terminal for user in psutil.users() if user.terminal]
    except Exception:
        # There may be no free descriptor or memory: the other terminals are still written to.
        _log.warning("utmp could not be read", exc_info=True)
        return []


def _pseudo_terminals(root: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from (f"pts/{name}" for name in os.listdir(root / "dev/pts") if name.isdecimal())


def _logind_terminals(root: Path) -> Iterator[str]:
    """Yield the terminals of systemd's sessions, for systems without utmp (/run/systemd/sessions/ID)."""
    with suppress(OSError):
        for session in sorted((root / "run/systemd/sessions").iterdir()):
            with suppress(OSError), session.open("rb") as file:
                found = re.search(rb"^TTY=(.+)$", file.read(4096), re.M)
                if found:
                    yield found[1].decode("ascii", "replace")


def _write_to(path: Path, data: bytes) -> bool:
    """Return whether the terminal accepted the data; one that is stopped, or has hung up, does not."""
    with suppress(OSError):
        terminal = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            seen = os.fstat(terminal)
            if stat.S_ISCHR(seen.st_mode) and os.major(seen.st_rdev) in _TTY_MAJORS:
                return os.write(terminal, data) == len(data)
        finally:
            os.close(terminal)
    return False
