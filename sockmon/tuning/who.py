"""Who asks for a change: the user, and the person behind root."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.kernel.users import Users
from sockmon.model.change import Who
from sockmon.model.clean import clean

_NOBODY = 4294967295


def whoami() -> Who:
    """Who asks: the user, and behind sudo or su the person who logged in."""
    users, uid, login = Users(), os.getuid(), ""
    with suppress(OSError, ValueError), open("/proc/self/loginuid", "rb") as file:
        number = int(file.read(32))
        login = users.name(number) if number != _NOBODY else ""
    terminal = ""
    for stream in (0, 1, 2):
        with suppress(OSError):
            terminal = terminal or os.ttyname(stream).removeprefix("/dev/")
    return Who(uid, users.name(uid), login or clean(os.environ.get("SUDO_USER", ""), 64), clean(terminal, 64))
