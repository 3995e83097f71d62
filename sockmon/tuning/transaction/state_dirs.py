"""The directories of a transaction's files, which must be private: another user may have prepared them.

run/sockmon/            0700   lock, guard.sock, txn/ID.wal: gone after a reboot, like the values
var/lib/sockmon/        0700   history/ID.json
var/log/sockmon/        0750   audit.jsonl
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from sockmon.errors import TuningError
from sockmon.own_command import with_sudo
from sockmon.tuning.transaction.confinement import state_root

RUN, VAR_LIB, LOG = "run/sockmon", "var/lib/sockmon", "var/log/sockmon"
TXN = f"{RUN}/txn"
SOCKET_NAME = "guard.sock"
ABSENT = -1
"""Stands for the descriptor of a directory that does not exist."""
_NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO in place of a file must not block us.
_NO_WAIT = os.O_NONBLOCK


class StateDirs:
    """The directories below `root`, kept open, so that no symlink can redirect what is done in them.

    Raise TuningError if one cannot be created, is not private, or is not a directory."""

    def __init__(self, root: str = "/", make: bool = True) -> None:
        """Without `make` create nothing: a directory that does not exist is ABSENT, and empty."""
        self.root = state_root(root)
        self._create = make
        self._open: dict[str, int] = {}
        try:
            self.run = self._directory(RUN, 0o700)
            self.txn = self._directory(TXN, 0o700)
        except BaseException:
            self.close()
            raise

    def history(self) -> int:
        """Return the descriptor of the history, which is created when it is needed: the disk may be full."""
        self._directory(VAR_LIB, 0o700)
        return self._directory(f"{VAR_LIB}/history", 0o700)

    def log(self) -> int:
        """Return the descriptor of the directory of the audit log."""
        return self._directory(LOG, 0o750)

    def _directory(self, below: str, mode: int) -> int:
        if below in self._open:
            return self._open[below]
        path = Path(self.root, below)
        try:
            if self._create:
                _make(path, mode)
            number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_LINKS)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not self._create:
                return ABSENT
            raise _to_tuning_error(f"{path}", error) from error
        try:
            _require_private(os.fstat(number), f"{path}")
        except BaseException:
            os.close(number)
            raise
        self._open[below] = number
        return number

    def socket_address(self) -> str:
        """Return the path of the guard's socket, short enough for sockaddr_un however deep the directory is."""
        return f"/proc/self/fd/{self.run}/{SOCKET_NAME}"

    def close(self) -> None:
        """Close the directories."""
        while self._open:
            os.close(self._open.popitem()[1])


def _make(path: Path, mode: int) -> None:
    # Parents get the usual mode, whatever our umask is.
    before = os.umask(0o022)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode)
    finally:
        os.umask(before)


def open_private(name: str, flags: int, directory: int, mode: int = 0o600) -> int:
    """Open a regular file in `directory`; raise TuningError for a symlink, a FIFO, a hard link, another user's
    file."""
    try:
        number = os.open(name, flags | _NO_LINKS | _NO_WAIT, mode, dir_fd=directory)
    except OSError as error:
        raise _to_tuning_error(name, error) from error
    try:
        seen = os.fstat(number)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
            raise TuningError(f"{name}: not a regular file, or it has several hard links")
        _require_private(seen, name)
    except BaseException:
        os.close(number)
        raise
    return number


def write_whole(file: int, data: bytes) -> None:
    """Write `data` in one call; raise OSError if only a part of it was written, because the disk is full."""
    if os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def unusable_reason(root: str = "/") -> str:
    """Return the reason why no transaction can be stored below `root`, empty if none is known; create nothing."""
    try:
        at = Path(state_root(root))
        for below in (RUN, TXN):
            with suppress(FileNotFoundError):
                seen = os.lstat(at / below)
                if not stat.S_ISDIR(seen.st_mode):
                    return f"{at / below} is not a directory"
                _require_private(seen, f"{at / below}")
        existing = at / RUN
        while not existing.exists():
            existing = existing.parent
    except (TuningError, OSError) as error:
        return str(error)
    return "" if os.access(existing, os.W_OK) else f"{existing} is not writable"


def _require_private(seen: os.stat_result, name: str) -> None:
    if seen.st_uid != os.geteuid():
        raise TuningError(f"{name} belongs to user {seen.st_uid}, not to user {os.geteuid()}")
    if seen.st_mode & 0o022:
        raise TuningError(f"{name} is writable by other users (mode {stat.S_IMODE(seen.st_mode):04o})")


def _to_tuning_error(name: str, error: OSError) -> TuningError:
    hint = f"needs root: start it with {with_sudo()}" if error.errno in (errno.EACCES, errno.EPERM) else ""
    return TuningError(f"{name}: {error.strerror}", hint)
