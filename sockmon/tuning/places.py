"""Where a transaction keeps its files, and the refusal of any place that somebody else could have prepared.

run/sockmon/            0700   lock, guard.sock, txn/ID.wal: gone after a reboot, as the values are
var/lib/sockmon/        0700   history/ID.json
var/log/sockmon/        0750   audit.jsonl
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from sockmon.errors import NotTuned
from sockmon.tuning.inside import home

RUN, LIBRARY, LOG = "run/sockmon", "var/lib/sockmon", "var/log/sockmon"
TXN = f"{RUN}/txn"
NOWHERE = -1
"""In the place of the descriptor of a directory that is not there."""
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO in the place of a file must not block us.
_AT_ONCE = os.O_NONBLOCK


class Places:
    """The directories below `root`, open: what is done in them cannot be led elsewhere by a symlink.

    NotTuned where one cannot be made, is not ours alone, or is no directory."""

    def __init__(self, root: str = "/", make: bool = True) -> None:
        """Without `make` nothing is made: what is not there is NOWHERE, and nothing is found in it."""
        self.root = home(root)
        self._make = make
        self._open: dict[str, int] = {}
        try:
            self.run = self._directory(RUN, 0o700)
            self.txn = self._directory(TXN, 0o700)
        except BaseException:
            self.close()
            raise

    def history(self) -> int:
        """Descriptor of the directory of what was done; made when it is first needed: it may be on a full disk."""
        self._directory(LIBRARY, 0o700)
        return self._directory(f"{LIBRARY}/history", 0o700)

    def log(self) -> int:
        """Descriptor of the directory of the audit log."""
        return self._directory(LOG, 0o750)

    def _directory(self, below: str, mode: int) -> int:
        if below in self._open:
            return self._open[below]
        path = Path(self.root, below)
        try:
            if self._make:
                _make(path, mode)
            number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not self._make:
                return NOWHERE
            raise _refused(f"{path}", error) from error
        try:
            _require_ours(os.fstat(number), f"{path}")
        except BaseException:
            os.close(number)
            raise
        self._open[below] = number
        return number

    def lock(self) -> int | None:
        """A descriptor that holds the lock until it is closed or its process ends; None: somebody else has it."""
        number = open_ours("lock", os.O_RDWR | os.O_CREAT, self.run)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(number)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise NotTuned(f"the lock cannot be taken: {error.strerror}") from error
        return number

    def holder(self) -> bytes:
        """What the holder of the lock wrote about itself."""
        with suppress(OSError, NotTuned):
            number = open_ours("lock", os.O_RDONLY, self.run)
            try:
                return os.read(number, 4096)
            finally:
                os.close(number)
        return b""

    def address(self) -> str:
        """The guard's socket, short enough for sockaddr_un however deep the directory is."""
        return f"/proc/self/fd/{self.run}/guard.sock"

    def close(self) -> None:
        """Let go of the directories."""
        while self._open:
            os.close(self._open.popitem()[1])


def _make(path: Path, mode: int) -> None:
    # Parents as the distribution would make them, whatever our umask is.
    before = os.umask(0o022)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode)
    finally:
        os.umask(before)


def open_ours(name: str, flags: int, directory: int, mode: int = 0o600) -> int:
    """A regular file of our own in `directory`; NotTuned for a symlink, a FIFO, a hard link, another's file."""
    try:
        number = os.open(name, flags | _SAFE | _AT_ONCE, mode, dir_fd=directory)
    except OSError as error:
        raise _refused(name, error) from error
    try:
        seen = os.fstat(number)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
            raise NotTuned(f"{name} is not a file of its own: a link, or no file at all")
        _require_ours(seen, name)
    except BaseException:
        os.close(number)
        raise
    return number


def unfit(root: str = "/") -> str:
    """Why no transaction could be kept below `root`, without making or touching anything; empty: nothing is known
    against it."""
    try:
        at = Path(home(root))
        for below in (RUN, TXN):
            with suppress(FileNotFoundError):
                seen = os.lstat(at / below)
                if not stat.S_ISDIR(seen.st_mode):
                    return f"{at / below} is no directory"
                _require_ours(seen, f"{at / below}")
        there = at / RUN
        while not there.exists():
            there = there.parent
    except (NotTuned, OSError) as error:
        return str(error)
    return "" if os.access(there, os.W_OK) else f"{there} cannot be written"


def _require_ours(seen: os.stat_result, name: str) -> None:
    if seen.st_uid != os.geteuid():
        raise NotTuned(f"{name} belongs to user {seen.st_uid}, not to us")
    if seen.st_mode & 0o022:
        raise NotTuned(f"{name} can be written by others (mode {stat.S_IMODE(seen.st_mode):04o})")


def _refused(name: str, error: OSError) -> NotTuned:
    hint = "changing the system takes root" if error.errno in (errno.EACCES, errno.EPERM) else ""
    return NotTuned(f"{name}: {error.strerror}", hint)
