"""Configuration files below a root, read without blocking; what cannot be read is noted, never passed over."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sockmon.text import sanitize

MAX_BYTES = 1 << 20
_ABSENT = (FileNotFoundError, NotADirectoryError)


class ConfigFiles:
    """Files by their absolute names, as seen from `root`; each is read once."""

    def __init__(self, root: str | Path = "/") -> None:
        self.root = Path(root)
        self._lines: dict[str, tuple[str, ...] | None] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._links: dict[str, dict[str, str]] = {}
        self._unread: dict[str, str] = {}
        self._wanted: set[str] = set()

    @property
    def unread(self) -> tuple[str, ...]:
        """What exists and could not be read since the last `forget_unread()`, as `FILE: REASON`."""
        found = ((name, reason) for name, reason in self._unread.items() if name in self._wanted)
        return tuple(f"{sanitize(name, 4096)}: {reason}" for name, reason in found)

    def forget_unread(self) -> None:
        """Begin the list of unread files again, for another question; what was read stays."""
        self._wanted.clear()

    def path(self, name: str) -> Path:
        """Return where `name` is below the root."""
        return self.root / name.lstrip("/")

    def lines(self, name: str) -> tuple[str, ...] | None:
        """Return the lines of a file; None if there is none, or if it cannot be read. A mask (a link to
        /dev/null) is empty."""
        self._wanted.add(name)
        if name not in self._lines:
            self._lines[name] = self._read(name)
        return self._lines[name]

    def text(self, name: str) -> str | None:
        """Return the whole file; None as above."""
        lines = self.lines(name)
        return None if lines is None else "\n".join(lines)

    def names(self, directory: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted by their bytes; empty if there is none."""
        self._wanted.add(directory)
        if directory not in self._names:
            found: list[str] = []
            try:
                found = os.listdir(self.path(directory))
            except _ABSENT:
                pass
            except OSError as error:
                self._unread[directory] = error.strerror or "cannot be read"
            self._names[directory] = tuple(sorted(found, key=os.fsencode))
        return self._names[directory]

    def links(self, directory: str) -> dict[str, str]:
        """Return the links in a directory whose file has another name, and that name."""
        if directory not in self._links:
            found = {}
            for name in self.names(directory):
                place = self.path(f"{directory}/{name}")
                target = os.path.basename(os.path.realpath(place)) if os.path.islink(place) else name
                if target != name:
                    found[name] = target
            self._links[directory] = found
        return self._links[directory]

    def exists(self, name: str) -> bool:
        """Return whether there is such a file, a mask included."""
        return os.path.lexists(self.path(name))

    def changed(self, name: str) -> float | None:
        """Return when a file was last written, in seconds since the epoch; None if that is not known."""
        try:
            return self.path(name).stat().st_mtime
        except OSError:
            return None

    def _read(self, name: str) -> tuple[str, ...] | None:
        try:
            descriptor = os.open(self.path(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except _ABSENT:
            return None
        except OSError as error:
            self._unread[name] = error.strerror or "cannot be read"
            return None
        try:
            return self._content(name, descriptor)
        except OSError as error:
            self._unread[name] = error.strerror or "cannot be read"
            return None
        finally:
            os.close(descriptor)

    def _content(self, name: str, descriptor: int) -> tuple[str, ...] | None:
        state = os.fstat(descriptor)
        if stat.S_ISCHR(state.st_mode) and state.st_rdev == os.makedev(1, 3):
            return ()
        if not stat.S_ISREG(state.st_mode) or state.st_size > MAX_BYTES:
            self._unread[name] = "not a regular file, or longer than 1 MiB"
            return None
        raw = b""
        while len(raw) <= MAX_BYTES and (more := os.read(descriptor, MAX_BYTES)):
            raw += more
        return tuple(raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n"))
