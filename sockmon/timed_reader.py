"""Reading from a socket with an end: a peer that sends a byte now and then gets no more time than a silent one."""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class TimedReader(io.RawIOBase):
    """Reads what `raw` reads from `connection`, for `seconds` from now on; then TimeoutError. Owns `raw`."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, seconds: float) -> None:
        self._raw = raw
        self._connection = connection
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        super().close()
        self._raw.close()


def timed(file: io.BufferedReader, connection: socket.socket, seconds: float) -> io.BufferedReader:
    """Return `file`, which `connection.makefile` has made, so that all reads of it end after `seconds`."""
    return io.BufferedReader(TimedReader(file.detach(), connection, seconds))
