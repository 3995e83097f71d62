"""The stream, to a file."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import TracebackType

from sockmon.agent.sampler import Sampler
from sockmon.errors import SockmonError
from sockmon.sources.wire import encode, hello


class Recording:
    """A new file for a recording, for its owner's eyes only; an existing file is never overwritten.

    A line is written whole or, when the disk is full, cut off again, so that the rest stays readable; a file that
    got no Snapshot is removed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines = 0
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise SockmonError(f"{path} exists already", "choose another name, or remove it first") from error
        except OSError as error:
            raise SockmonError(f"{path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        if self._lines < 2:
            Path(self._path).unlink(missing_ok=True)

    def write(self, line: bytes) -> None:
        """Append one line; SockmonError when there is no room for it."""
        begin = os.lseek(self._file, 0, os.SEEK_CUR)
        try:
            if os.write(self._file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._file, begin)
            kept = "it is complete up to this moment" if self._lines > 1 else "nothing was recorded"
            raise SockmonError(f"{self._path} cannot be written: {error.strerror}", kept) from error
        self._lines += 1


def record(sampler: Sampler, out: Recording, seconds: float | None) -> None:
    """Write Snapshots until `seconds` are over, or for ever."""
    out.write(hello())
    out.write(encode(sampler.sample(complete=True)))
    number, begin = 1, time.monotonic()
    while (tick := number * sampler.interval) <= (seconds if seconds is not None else tick):
        while sampler.step() and time.monotonic() < begin + tick:
            pass
        time.sleep(max(begin + tick - time.monotonic(), 0.0))
        out.write(encode(sampler.sample()))
        number += 1
