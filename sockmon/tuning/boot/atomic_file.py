"""Atomic replacement of /etc/sysctl.d/90-sockmon.conf: after a crash it is the old file or the new one, complete.

The temporary file has a name that neither systemd-sysctl nor procps reads, and no symbolic link is followed.
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

_TEMPORARY_NAME = f".{NAME}.tmp"
_MAX_FILE_BYTES = 1 << 20
_REASONS = {
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "there is no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EPERM: "the kernel refuses it; check with lsattr whether the file or the directory is immutable",
    errno.EACCES: "it needs root",
    errno.ENOENT: "it does not exist",
    errno.ENOTDIR: "it is a symbolic link, or not a directory",
    errno.ELOOP: "it is a symbolic link, which sockmon does not follow",
}


class NotPersisted(SockmonError):
    """The value was set but will not survive a reboot; the message is the reason. No file was changed."""


class SysctlDropinDir:
    """/etc/sysctl.d below `root`, held open: checks and writes reach the same directory."""

    def __init__(self, root: Path) -> None:
        self._path = root / DIRECTORY.lstrip("/")

    def __enter__(self) -> SysctlDropinDir:
        try:
            self._at = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _not_persisted(DIRECTORY, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._at)

    def read(self) -> bytes | None:
        """Return the content of the file, None without a file; raise NotPersisted if it is not a regular file."""
        try:
            file = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._at)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _not_persisted(FILE, error) from error
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise NotPersisted(f"{FILE} is not a regular file with one name")
            if status.st_size > _MAX_FILE_BYTES:
                raise NotPersisted(f"{FILE} is longer than 1 MiB")
            return os.read(file, _MAX_FILE_BYTES + 1)
        except OSError as error:
            raise _not_persisted(FILE, error) from error
        finally:
            os.close(file)

    def replace(self, content: bytes) -> tuple[str, ...]:
        """Replace the file with `content`; return warnings."""
        try:
            file = self._create()
        except OSError as error:
            raise _not_persisted(FILE, error) from error
        try:
            _write_and_sync(file, content)
            os.rename(_TEMPORARY_NAME, NAME, src_dir_fd=self._at, dst_dir_fd=self._at)
        except OSError as error:
            with suppress(OSError):
                os.unlink(_TEMPORARY_NAME, dir_fd=self._at)
            raise _not_persisted(FILE, error) from error
        return self.fsync_dir()

    def remove(self) -> tuple[str, ...]:
        """Remove the file; return warnings."""
        try:
            os.unlink(NAME, dir_fd=self._at)
        except OSError as error:
            raise _not_persisted(FILE, error) from error
        return self.fsync_dir()

    def _create(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(_TEMPORARY_NAME, flags, 0o644, dir_fd=self._at)
        except FileExistsError as error:
            # A process of ours was killed before it could rename the file; any other file is not ours.
            status = os.stat(_TEMPORARY_NAME, dir_fd=self._at, follow_symlinks=False)
            ours = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid()
            if not ours:
                raise NotPersisted(
                    f"{DIRECTORY}/{_TEMPORARY_NAME} exists and does not belong to sockmon: it is left alone"
                ) from error
        os.unlink(_TEMPORARY_NAME, dir_fd=self._at)
        return os.open(_TEMPORARY_NAME, flags, 0o644, dir_fd=self._at)

    def fsync_dir(self) -> tuple[str, ...]:
        """Write the directory to the disk; return a warning if that fails."""
        try:
            os.fsync(self._at)
        except OSError as error:
            return (f"{FILE} was written, but may be lost in a power failure: {error.strerror}",)
        return ()


def _write_and_sync(file: int, content: bytes) -> None:
    """Write `content` to the disk and close the file."""
    try:
        # The umask may be stricter, but every user may read this file.
        os.fchmod(file, 0o644)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)


def _not_persisted(name: str, error: OSError) -> NotPersisted:
    reason = _REASONS.get(error.errno or 0, error.strerror or "unknown error")
    return NotPersisted(f"{name} cannot be written: {reason}")
