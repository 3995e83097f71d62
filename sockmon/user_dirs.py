"""Directories of the user that this process runs as.

sudo, su, doas and runuser can leave HOME and XDG_*_HOME of another user in the environment, which this user may
not be able to read. So a variable is used only if its directory belongs to this user; otherwise the home directory
of the password database is."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

NO_HOME = "/nonexistent"
"""The home of a user without an entry in the password database, as in Debian."""


def config() -> Path:
    """Return `$XDG_CONFIG_HOME`, by default `~/.config`."""
    return _base("XDG_CONFIG_HOME", ".config")


def state() -> Path:
    """Return `$XDG_STATE_HOME`, by default `~/.local/state`."""
    return _base("XDG_STATE_HOME", ".local/state")


def home() -> Path:
    """Return the home directory."""
    return Path(_home())


def _base(variable: str, default: str) -> Path:
    """Return one directory of the XDG base directory specification, which ignores relative paths."""
    chosen = os.environ.get(variable, "")
    return Path(chosen) if _is_own(chosen) else Path(_home(), default)


def _home() -> str:
    chosen = os.environ.get("HOME", "")
    if _is_own(chosen):
        return chosen
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except (KeyError, OSError):
        return NO_HOME


def _is_own(path: str) -> bool:
    """Return whether this user owns `path`, or the nearest directory above it that exists."""
    while os.path.isabs(path):
        try:
            return os.stat(path).st_uid == os.geteuid()
        except FileNotFoundError:
            path = os.path.dirname(path)
        except OSError:
            return False
    return False
