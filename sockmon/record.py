"""The stream, to a file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import BinaryIO

from sockmon.agent.sampler import Sampler
from sockmon.errors import SockmonError
from sockmon.sources.wire import encode, hello


def open_recording(path: str) -> BinaryIO:
    """A new file for a recording, for its owner's eyes only; an existing file is never overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise SockmonError(f"{path} exists already", "choose another name, or remove it first") from error
    except OSError as error:
        raise SockmonError(f"{path} cannot be written: {error.strerror}") from error
    return os.fdopen(descriptor, "wb", buffering=0)


def record(sampler: Sampler, out: BinaryIO, seconds: float | None) -> int:
    """Write Snapshots until `seconds` are over or a signal comes; the number of Snapshots written.

    A Snapshot is written whole or, when the disk is full, cut off again, so that the rest stays readable."""
    out.write(hello())
    _write_whole(out, encode(sampler.sample(complete=True)))
    number, begin = 1, time.monotonic()
    while (tick := number * sampler.interval) <= (seconds if seconds is not None else tick):
        while sampler.step() and time.monotonic() < begin + tick:
            pass
        time.sleep(max(begin + tick - time.monotonic(), 0.0))
        _write_whole(out, encode(sampler.sample()))
        number += 1
    return number


def _write_whole(out: BinaryIO, line: bytes) -> None:
    begin = out.tell()
    try:
        if out.write(line) != len(line):
            raise OSError(28, os.strerror(28))
    except OSError as error:
        os.ftruncate(out.fileno(), begin)
        raise SockmonError(
            f"the recording ends here: {error.strerror}",
            f"{Path(str(out.name)).name} is complete up to this moment",
        ) from error
