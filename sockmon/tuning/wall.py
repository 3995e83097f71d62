"""The loud way to say something: a line on every terminal that somebody is logged in at, as wall(1) does.

Nobody is waited for, no process is started, and nothing is written but to terminals.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from sockmon.model.clean import clean

LONGEST = 1000
_NAME = re.compile(r"(pts/[0-9]{1,6}|tty[0-9A-Za-z]{1,10}|hvc[0-9]{1,3})")
_LINE, _USER_PROCESS = slice(8, 40), 7
"""utmp(5): ut_type, padding, ut_pid, then ut_line."""
_ENTRIES = (384, 400)
"""Bytes of a record: where its times have 32 bits, and where they have 64."""
_LARGEST = 1 << 20
_TTY_MAJORS = frozenset({4, 204, 229, *range(136, 144)})
"""Consoles, serial lines, hypervisor consoles, pseudo-terminals (admin-guide/devices.txt)."""


def tell(words: Iterable[str], root: str | Path = "/", terminals: Iterable[str] = ()) -> int:
    """Write each of `words` to the logged-in terminals and to `terminals`; on how many it was."""
    lines = "".join(f"\r{clean(word, LONGEST)}\r\n" for word in words)
    message = f"\r\n{lines}".encode()
    names = {*_of_utmp(Path(root)), *_of_logind(Path(root)), *terminals}
    return sum(_written(Path(root, "dev", name), message) for name in sorted(names) if _NAME.fullmatch(name))


def _of_utmp(root: Path) -> Iterator[str]:
    with suppress(OSError), (root / "run/utmp").open("rb") as file:
        raw = file.read(_LARGEST)
        size = next((size for size in _ENTRIES if len(raw) % size == 0), _ENTRIES[0])
        for at in range(0, len(raw) - size + 1, size):
            if int.from_bytes(raw[at : at + 2], sys.byteorder) == _USER_PROCESS:
                yield raw[at : at + size][_LINE].partition(b"\0")[0].decode("ascii", "replace")


def _of_logind(root: Path) -> Iterator[str]:
    """Systems without utmp: systemd's own record of each session (/run/systemd/sessions/ID)."""
    with suppress(OSError):
        for session in sorted((root / "run/systemd/sessions").iterdir()):
            with suppress(OSError), session.open("rb") as file:
                found = re.search(rb"^TTY=(.+)$", file.read(4096), re.M)
                if found:
                    yield found[1].decode("ascii", "replace")


def _written(path: Path, message: bytes) -> bool:
    """Whether a terminal took it; one that is stopped, or that has hung up, does not."""
    with suppress(OSError):
        door = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            seen = os.fstat(door)
            if stat.S_ISCHR(seen.st_mode) and os.major(seen.st_rdev) in _TTY_MAJORS:
                return os.write(door, message) == len(message)
        finally:
            os.close(door)
    return False
