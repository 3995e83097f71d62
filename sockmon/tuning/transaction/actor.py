"""The user who requests a change, and the person behind root."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.kernel.processes.passwd import Users
from sockmon.model.transaction import Actor
from sockmon.text import sanitize

_NO_LOGINUID = 4294967295


def current_actor() -> Actor:
    """Return the user of this process; for sudo, doas or su also the person who logged in."""
    users, uid, login = Users(), os.getuid(), ""
    with suppress(OSError, ValueError), open("/proc/self/loginuid", "rb") as file:
        number = int(file.read(32))
        login = users.name(number) if number != _NO_LOGINUID else ""
    terminal = ""
    for stream in (0, 1, 2):
        with suppress(OSError):
            terminal = terminal or os.ttyname(stream).removeprefix("/dev/")
    login = login or os.environ.get("SUDO_USER", "") or os.environ.get("DOAS_USER", "")
    return Actor(uid, users.name(uid), sanitize(login, 64), sanitize(terminal, 64))
