"""The progress of walks in `$XDG_STATE_HOME/sockmon/guides/`, a file each: a restart of the screen keeps it.

A file that is damaged, or that another user has put there, is reported and not used. A file that cannot be
written is reported once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sockmon import user_dirs

MAX_BYTES = 1 << 20
_Progress = TypeVar("_Progress")


def directory() -> Path:
    """Return the directory of the files."""
    return user_dirs.state() / "sockmon" / "guides"


class KeptWalks:
    """Reads and writes the progress of guides; `report` takes each fault as a message for the user."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._write_failed = False

    def load(self, guide: str, decode: Callable[[str, bytes], _Progress | None]) -> _Progress | None:
        """Return the kept progress of a guide; None if there is none that can be used.

        `decode` takes the guide and the text of the file, and returns None if the text is damaged."""
        path = _path(guide)
        try:
            text = _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._report(f"{path}: the progress cannot be read, the guide begins again: {error.strerror}")
            return None
        found = decode(guide, text)
        if found is None:
            self._report(f"{path}: the progress is damaged or of another version; the guide begins again")
            return None
        return found

    def save(self, guide: str, progress: bytes) -> None:
        """Write the progress of a guide in place of the one before."""
        path = _path(guide)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
                file.write(progress)
            new.replace(path)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            if not self._write_failed:
                self._write_failed = True
                self._report(f"{path}: the progress cannot be kept for the next start: {error.strerror}")


def _path(guide: str) -> Path:
    return directory() / f"{guide}.json"


def _read(path: Path) -> bytes:
    """Return the content of a regular file of this user; raise OSError if it is not one, or is too large."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(0, "it is not a file of this user")
        if found.st_size > MAX_BYTES:
            raise OSError(0, "it is too large")
        with open(opened, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(opened)
