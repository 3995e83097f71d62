"""The live screen of a host, in a process of its own on the same terminal.

This process has threads, and the agent of a screen is started by a fork of one that has none: so it is a new
interpreter, which starts, draws and ends as `sockmon --from ssh://HOST` does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from sockmon.text import sanitize

BACK = b"back"
"""What the screen writes if it is left for the fleet."""
MAX_REASON_BYTES = 4096


class Ended(NamedTuple):
    """How the live screen ended."""

    returned: bool
    """Whether the fleet goes on: the user came back, or the host could not be shown."""
    reason: str = ""
    """Why the host could not be shown."""
    code: int = 0


def show_live(address: str, theme: str, pushed: bool) -> Ended:
    """Show a host until its screen is left; `pushed`: send the agent to it."""
    reader, writer = os.pipe()
    options = ["--from", address, "--theme", theme, "--opened-by-fleet", str(writer)]
    options += ["--push"] if pushed else []
    try:
        code = subprocess.call([sys.executable, "-I", "-m", "sockmon", *options], pass_fds=[writer])
    except OSError as error:
        return Ended(True, f"no process could be started: {error.strerror}")
    finally:
        os.close(writer)
        with open(reader, "rb") as told:
            # A process that the screen has left behind may still hold the other end.
            os.set_blocking(reader, False)
            words = told.read(MAX_REASON_BYTES) or b""
    if words == BACK:
        return Ended(True)
    return Ended(bool(words), sanitize(words.decode(errors="replace")), code)
