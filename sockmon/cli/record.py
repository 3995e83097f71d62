"""`sockmon record`: the stream, written to a file."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sockmon.agent.sampler import Sampler
from sockmon.errors import SockmonError
from sockmon.sources.wire import encode, hello
from sockmon.sources.wire_netns import SnapshotWriter

TEMPORARY_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOBUFS, errno.ENOMEM}
)
"""Errors of write(2) after which a recording pauses, because a later write may succeed."""


class Recording:
    """A new file for a recording, readable by its owner only; an existing file is never overwritten.

    A line is written completely or not at all. If there is no space, the recording pauses: it tries each later
    line, and counts those that could not be written. A file without a Snapshot is removed."""

    def __init__(self, path: str, report: Callable[[str], None]) -> None:
        """Create `path`, or raise SockmonError; `report` gets a message when the recording pauses and
        continues."""
        self._path = path
        self._report = report
        self._lines = 0
        self._has_torn_line = False
        """True if the file ends with half a line that could not be removed."""
        self._skipped = 0
        """Lines that could not be written since the last one that was."""
        self.lost = 0
        """Lines that could not be written in all."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o600)
        except FileExistsError as error:
            raise SockmonError(
                f"{path} already exists", "choose another name, or remove the file first"
            ) from error
        except OSError as error:
            raise SockmonError(f"{path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            os.close(self._file)
        except OSError as failed:
            # NFS and disk quotas can report a failed write only here.
            self._report(f"{self._path}: the end of the recording may be missing: {failed.strerror}")
        if self._lines < 2:
            with suppress(OSError):
                Path(self._path).unlink()
        elif self.lost:
            self._report(f"{self._path}: {self._lines - 1:,} samples written, {self.lost:,} not written")

    def begin(self, *lines: bytes) -> None:
        """Write the first lines; raise SockmonError if there is no space for them."""
        try:
            for line in lines:
                self._append(line)
        except OSError as error:
            raise self._unwritable(error, "nothing was recorded") from error

    def write(self, line: bytes) -> bool:
        """Append one line, or pause; return whether it was written; raise SockmonError if no later line can be
        written either."""
        try:
            self._append(line)
        except OSError as error:
            if error.errno not in TEMPORARY_ERRORS:
                raise self._unwritable(error, "the recording is complete up to this moment") from error
            if not self._skipped:
                self._report(f"{self._path}: {_reason(error)}: recording pauses")
            self._skipped += 1
            self.lost += 1
            return False
        if self._skipped:
            self._report(f"{self._path}: recording continues; {self._skipped:,} samples were not written")
        self._skipped = 0
        return True

    def _append(self, line: bytes) -> None:
        begin = os.fstat(self._file).st_size
        view = memoryview(b"\n" + line if self._has_torn_line else line)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except BaseException:
            # Also after Ctrl-C, so that the file stays readable.
            self._cut(begin)
            raise
        self._has_torn_line = False
        self._lines += 1

    def _cut(self, size: int) -> None:
        try:
            os.ftruncate(self._file, size)
        except OSError:
            self._has_torn_line = True

    def _unwritable(self, error: OSError, hint: str) -> SockmonError:
        return SockmonError(f"{self._path} cannot be written: {error.strerror}", hint)


def _reason(error: OSError) -> str:
    return "no space left" if error.errno == errno.ENOSPC else (error.strerror or "write failed").lower()


def record(sampler: Sampler, out: Recording, seconds: float | None) -> None:
    """Write Snapshots for `seconds`, or without end."""
    snapshots = SnapshotWriter()
    out.begin(hello(), encode(snapshots.line(sampler.sample(complete=True))))
    number, begin = 1, time.monotonic()
    while (tick := number * sampler.interval) <= (seconds if seconds is not None else tick):
        while sampler.step() and time.monotonic() < begin + tick:
            pass
        time.sleep(max(begin + tick - time.monotonic(), 0.0))
        if not out.write(encode(snapshots.line(sampler.sample()))):
            snapshots.restart()
        number += 1
