"""Lines of bounded length from a descriptor that another thread can stop reading."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

MAX_LINE_BYTES = 32 << 20
"""Longest line that is read. A Snapshot of a small host has 14 kB, plus about 320 bytes for each process: a line
of this length is that of a host with 100,000 processes."""
STDERR_TAIL_BYTES = 16 << 10
"""Bytes at the end of a stderr that are kept."""
_CHUNK_BYTES = 1 << 16
_MAX_LAST_PIECES = 16
"""Of a stderr when its process has ended: as much as the largest pipe holds."""


class RawLine(NamedTuple):
    """One line without its newline."""

    text: bytes | None
    """None: it was longer than the limit, and was skipped."""
    complete: bool
    """False: the stream ended before the newline."""


class Descriptor:
    """Reads a descriptor until `stop`, which may be called from any thread and wakes a blocked read."""

    def __init__(self, number: int, errors: int | None = None) -> None:
        """Take over the descriptor `number`, and `errors`, which is the stderr of the same process: it is read
        too, because a process with a full stderr would block. OSError if there is no free descriptor for
        `stop`."""
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._number = number
        self._errors = errors
        self._stderr_tail = b""
        self._input = -1
        self._unsent = memoryview(b"")
        self._when_sent: Callable[[], None] = lambda: None
        self.ended = False
        """True once the other side has closed it."""
        self._closing = threading.Lock()
        self._poll = select.poll()
        for each in (number, self._stop, errors):
            if each is not None:
                self._poll.register(each, select.POLLIN)
        if errors is not None:
            os.set_blocking(errors, False)

    def send(self, number: int, data: bytes, when_sent: Callable[[], None]) -> None:
        """Write `data` to the non-blocking descriptor `number`, the stdin of the same process, while `read` waits,
        and then call `when_sent`: a process that takes in much may have to be read meanwhile."""
        self._input, self._unsent, self._when_sent = number, memoryview(data), when_sent
        self._poll.register(number, select.POLLOUT)

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; empty at the end of the stream and after `stop`."""
        while True:
            ready = [number for number, _ in self._poll.poll()]
            if self._stop in ready:
                return b""
            if self._errors in ready:
                self._read_stderr()
            if self._input in ready:
                self._send_piece()
            if self._number in ready:
                with suppress(BlockingIOError):
                    data = os.read(self._number, size)
                    self.ended = not data
                    return data

    def stderr_tail(self) -> bytes:
        """Return the last bytes that came on stderr."""
        # Not to its end: a host that writes without an end would be read for ever.
        for _ in range(_MAX_LAST_PIECES):
            if self._errors is None or not self._read_stderr():
                break
        return self._stderr_tail

    def _send_piece(self) -> None:
        """Write what fits into the pipe; stop if the process has closed it, whose end is then read."""
        try:
            self._unsent = self._unsent[os.write(self._input, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._poll.unregister(self._input)
            self._input = -1
            return
        if not self._unsent:
            self._poll.unregister(self._input)
            self._input = -1
            self._when_sent()

    def _read_stderr(self) -> bool:
        """Read one piece of stderr; return False if there is nothing to read."""
        assert self._errors is not None
        try:
            piece = os.read(self._errors, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        self._stderr_tail = (self._stderr_tail + piece)[-STDERR_TAIL_BYTES:]
        if not piece:
            self._poll.unregister(self._errors)
            os.close(self._errors)
            self._errors = None
        return bool(piece)

    def stop(self) -> None:
        """End the reading: `read` returns nothing from now on."""
        with self._closing:
            if self._stop >= 0:
                os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        """Close the descriptors; only the thread that reads may do this."""
        with self._closing:
            for each in (self._number, self._stop, self._errors):
                if each is not None:
                    os.close(each)
            self._errors, self._stop = None, -1


def split_lines(read: Callable[[int], bytes], limit: int = MAX_LINE_BYTES) -> Iterator[RawLine]:
    """Yield the lines of what `read(size)` returns, in memory that does not depend on the length of a line.

    Of a line of more than `limit` bytes the rest is skipped up to its newline."""
    rest, skipping = bytearray(), False
    while data := read(_CHUNK_BYTES):
        *ends, tail = data.split(b"\n")
        for end in ends:
            rest += end
            if not skipping:
                yield RawLine(bytes(rest) if len(rest) <= limit else None, True)
            # A new buffer, because one that is cleared keeps the memory of its longest line.
            rest, skipping = bytearray(), False
        if not skipping:
            rest += tail
        if len(rest) > limit:
            # At once, because an endless line has no newline to wait for.
            yield RawLine(None, True)
            rest, skipping = bytearray(), True
    if rest:
        yield RawLine(bytes(rest), False)
