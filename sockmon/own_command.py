"""The command line that starts this sockmon again, for hints that can be copied into a shell."""

from __future__ import annotations

import os
import shlex
import sys

_SUDO_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""The directories in which sudo searches for a command (secure_path of Debian's sudoers)."""


def command() -> str:
    """Return the command that a user types after `sudo` to run this sockmon: its path, unless sudo finds its
    name."""
    folder = os.path.dirname(os.path.abspath(sys.executable))
    path = os.path.join(folder, "sockmon")
    return path if folder not in _SUDO_PATH and os.access(path, os.X_OK) else "sockmon"


def with_sudo() -> str:
    """Return the command line that starts this sockmon as root."""
    return shlex.join(["sudo", command()])
