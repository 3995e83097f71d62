"""The directory of the file that lasts: replaced so that a crash leaves the old file or the new one, whole.

The temporary file has a name that neither systemd-sysctl nor procps reads, and no link is followed on the way.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from sockmon.errors import SockmonError

DIRECTORY = "/etc/sysctl.d"
NAME = "90-sockmon.conf"
FILE = f"{DIRECTORY}/{NAME}"

_TEMPORARY = f".{NAME}.tmp"
_LARGEST = 1 << 20
_WORDS = {
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "there is no room left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EPERM: "the kernel refuses it: lsattr shows whether the file or the directory is immutable",
    errno.EACCES: "only root may",
    errno.ENOENT: f"there is no {DIRECTORY}",
    errno.ENOTDIR: f"{DIRECTORY} is a link, or no directory",
    errno.ELOOP: "it is a link, which is never followed",
}


class NotPersisted(SockmonError):
    """The value holds now and will not survive a reboot; the message is the reason. No file was changed."""


class Folder:
    """/etc/sysctl.d below `root`, held open: what is checked and what is written are in the same directory."""

    def __init__(self, root: Path) -> None:
        self._path = root / DIRECTORY.lstrip("/")

    def __enter__(self) -> Folder:
        try:
            self._at = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(DIRECTORY, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._at)

    def read(self) -> bytes | None:
        """The file as it is; None: there is none. NotPersisted for anything but a plain file of its own."""
        try:
            file = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._at)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(FILE, error) from error
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise NotPersisted(f"{FILE} is not a plain file with one name")
            if status.st_size > _LARGEST:
                raise NotPersisted(f"{FILE} is longer than 1 MiB")
            return os.read(file, _LARGEST + 1)
        except OSError as error:
            raise _refused(FILE, error) from error
        finally:
            os.close(file)

    def replace(self, content: bytes) -> tuple[str, ...]:
        """Put `content` in the place of the file, so that a crash leaves the one or the other, whole."""
        try:
            file = self._create()
        except OSError as error:
            raise _refused(FILE, error) from error
        try:
            _fill(file, content)
            os.rename(_TEMPORARY, NAME, src_dir_fd=self._at, dst_dir_fd=self._at)
        except OSError as error:
            with suppress(OSError):
                os.unlink(_TEMPORARY, dir_fd=self._at)
            raise _refused(FILE, error) from error
        return self.settle()

    def remove(self) -> tuple[str, ...]:
        """Take the file away."""
        try:
            os.unlink(NAME, dir_fd=self._at)
        except OSError as error:
            raise _refused(FILE, error) from error
        return self.settle()

    def _create(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(_TEMPORARY, flags, 0o644, dir_fd=self._at)
        except FileExistsError as error:
            # Ours, of one that was killed before it could rename it; anything else was put there by somebody.
            status = os.stat(_TEMPORARY, dir_fd=self._at, follow_symlinks=False)
            plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid()
            if not plain:
                raise NotPersisted(f"{DIRECTORY}/{_TEMPORARY} is there, and not ours: it is left alone") from error
        os.unlink(_TEMPORARY, dir_fd=self._at)
        return os.open(_TEMPORARY, flags, 0o644, dir_fd=self._at)

    def settle(self) -> tuple[str, ...]:
        """Let the directory reach the disk; what to say where that fails."""
        try:
            os.fsync(self._at)
        except OSError as error:
            return (f"{FILE} is in place, and may be lost in a power cut: {error.strerror}",)
        return ()


def _fill(file: int, content: bytes) -> None:
    """Write all of `content`, let it reach the disk, and close the file."""
    try:
        # The mask of the process may be stricter than a file that everybody reads.
        os.fchmod(file, 0o644)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)


def _refused(name: str, error: OSError) -> NotPersisted:
    reason = _WORDS.get(error.errno or 0, error.strerror or "it failed")
    return NotPersisted(f"{name} cannot be written: {reason}")
