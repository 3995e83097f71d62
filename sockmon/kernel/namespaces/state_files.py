"""The state files of container runtimes: bounded, regular files only, and never in the way of what hangs.

A rootless runtime keeps its files in a user's home, so their content is the user's, and the home may be a file
system that does not answer.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel.errnos import FORBIDDEN
from sockmon.kernel.processes.read_timeout import ReadHung, TimeoutReader

READER = "names of containers"
MAX_BYTES = 4 << 20
MAX_ENTRIES = 20_000
"""Names that are read of one directory."""
_MAX_PASSWD_BYTES = 4 << 20
_MAX_CACHED = 256

T = TypeVar("T")


class StateFiles:
    """Reads files below `root`, which is / but in tests; ReadError says why one could not be read."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._timeout_reader = TimeoutReader(max_hung=1)
        self._decoded: dict[str, tuple[tuple[int, ...], object]] = {}
        self._homes: dict[int, str] | None = None

    def close(self) -> None:
        """End the thread that reads homes."""
        self._timeout_reader.close()

    def decode(self, path: str, kind: type[T], home: bool = False) -> T:
        """Return a JSON file as `kind`, from memory if it has not changed; `home`: it is in a user's home."""
        return self._in_time(lambda: self._decode(path, kind), home)

    def exists(self, path: str, home: bool = False) -> bool:
        """Return whether a file or directory exists; False also if this user may not know."""
        return self._in_time(lambda: os.path.exists(self._root + path), home)

    def read_link(self, path: str) -> str:
        """Return the target of a symbolic link; raise ReadError if there is none."""
        try:
            return os.readlink(self._root + path)
        except OSError as error:
            raise _read_error(path, error) from error

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, at most MAX_ENTRIES; raise ReadError."""
        found: list[str] = []
        try:
            with os.scandir(self._root + path) as entries:
                for entry in entries:
                    if len(found) == MAX_ENTRIES:
                        break
                    found.append(entry.name)
        except OSError as error:
            raise _read_error(path, error) from error
        return found

    def home(self, uid: int) -> str:
        """Return the home of a user in /etc/passwd; raise NotPresent if another name service has it."""
        if self._homes is None:
            try:
                self._homes = _parse_homes(_read_regular(f"{self._root}/etc/passwd", _MAX_PASSWD_BYTES)[0])
            except OSError as error:
                raise _read_error("/etc/passwd", error) from error
        if uid not in self._homes:
            raise NotPresent(READER, f"user {uid} is not in /etc/passwd")
        return self._homes[uid]

    def _decode(self, path: str, kind: type[T]) -> T:
        known, before = self._decoded.get(path, ((), None))
        try:
            raw, stamp = _read_regular(self._root + path, MAX_BYTES, known)
            if stamp == known:
                return cast("T", before)
            value = msgspec.json.decode(raw, type=kind)
        except OSError as error:
            raise _read_error(path, error) from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ReadError(READER, f"{path} is not what its runtime writes") from error
        if len(self._decoded) >= _MAX_CACHED:
            self._decoded.clear()
        self._decoded[path] = (stamp, value)
        return value

    def _in_time(self, read: Callable[[], T], home: bool) -> T:
        if not home:
            return read()
        try:
            return self._timeout_reader.call(read)
        except ReadHung as error:
            raise ReadError(READER, "the home of its user does not answer") from error


def _read_regular(path: str, most: int, unless: tuple[int, ...] = ()) -> tuple[bytes, tuple[int, ...]]:
    """Return the content of a regular file, and what changes if it changes; no content if that is `unless`.

    Anything else, such as a pipe or a device that a user has put there, is refused before it is opened."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        stamp = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == unless:
            return b"", stamp
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise OSError(errno.EFBIG, "it is not a regular file, or too large")
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(handle)
    with open(descriptor, "rb") as file:
        return file.read(most), stamp


def _read_error(path: str, error: OSError) -> ReadError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotPresent(READER, f"there is no {path}")
    if error.errno in FORBIDDEN:
        return Forbidden(READER, f"{path} needs root")
    return ReadError(READER, f"{path} cannot be read: {error.strerror}")


def _parse_homes(text: bytes) -> dict[int, str]:
    """Return the homes in a passwd(5) by uid; the first line of a uid counts."""
    homes: dict[int, str] = {}
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) >= 6 and fields[2].isdigit() and fields[5].startswith(b"/"):
            homes.setdefault(int(fields[2]), os.fsdecode(fields[5]))
    return homes
