"""Writes to the terminal in a thread, and knows when a slow line is still sending the last frame.

A pseudo-terminal takes 20 kB before a write waits, which is 21 s at 9600 baud, and does not report how much of
that is unread (its TIOCOUTQ is 0). So the speed is measured: between two moments at which the kernel's buffer is
full, it accepts exactly as much as the terminal reads.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from sockmon.ui.tty_restorer import open_terminal

PTY_BYTES = 20_480
"""What a pseudo-terminal holds when it is full (measured on Linux 6.18)."""
CHUNK_BYTES = 2048
MAX_QUEUED_SECONDS = 0.5
"""A line is behind if its buffer holds more than it sends in this time."""
SHORTEST_MEASURE, LONGEST_MEASURE = 0.4, 3.0
"""Seconds between two full buffers that give a speed: over longer times the buffer may have been empty."""
SLOWEST, FASTEST = 120.0, 50_000.0
"""Bytes per second: of 1200 baud, and of a line that needs no pacing."""
SPEED_GROWTH = 1.005
"""Factor by which the assumed speed grows with each chunk that did not fill the buffer: a line may get faster."""
MAX_ESTIMATE_SECONDS = 5.0
"""Seconds after which a frame is drawn in any case: the measured speed may be wrong."""
STOP_SECONDS = 0.3


class TerminalWriter(threading.Thread):
    """Replaces Textual's WriterThread: never blocks its caller, and knows whether it is behind."""

    def __init__(self, file: IO[str] = sys.stderr, on_full: Callable[[], object] = lambda: None) -> None:
        """Write to the terminal of `file`; `on_full` is called in the thread when the kernel takes no more."""
        super().__init__(daemon=True, name="terminal-output")
        self._file = file
        self._on_full = on_full
        try:
            self._out = open_terminal(file.fileno())
        except OSError:
            # The terminal has no path in this mount namespace: writes may block this thread.
            self._out = file.fileno()
        self._waiting = threading.Condition()
        self._pending = bytearray()
        self._stopped = False
        self._full = False
        self._full_at: float | None = None
        self._since_full = 0
        self._speed = FASTEST
        self._kernel_bytes = 0.0
        self._kernel_bytes_at = time.monotonic()

    # What Textual calls

    def write(self, text: str) -> None:
        """Queue `text` for sending."""
        with self._waiting:
            self._pending += text.encode("utf-8", "replace")
            self._waiting.notify()

    def isatty(self) -> bool:
        """Return True; Textual checks its output file."""
        return True

    def fileno(self) -> int:
        """Return the number of the file that is written to."""
        return self._file.fileno()

    def flush(self) -> None:
        """Do nothing: output is sent as soon as possible."""

    def stop(self) -> None:
        """Send the rest and stop; what the terminal does not accept within STOP_SECONDS is dropped."""
        with self._waiting:
            self._stopped = True
            self._waiting.notify()
        self.join(STOP_SECONDS)

    # How far behind

    @property
    def behind(self) -> bool:
        """Whether a frame that is drawn now would wait behind older ones."""
        return self._full or self._estimate_kernel_bytes(time.monotonic()) > self._speed * MAX_QUEUED_SECONDS

    def _estimate_kernel_bytes(self, now: float) -> float:
        """Return the bytes in the kernel's buffer: as TIOCOUTQ reports, else estimated from time and speed."""
        queued = bytearray(4)
        with suppress(OSError):
            fcntl.ioctl(self._out, termios.TIOCOUTQ, queued)
        (count,) = struct.unpack("i", queued)
        if not count and now - self._kernel_bytes_at > MAX_ESTIMATE_SECONDS:
            return 0.0
        return float(count) or max(self._kernel_bytes - self._speed * (now - self._kernel_bytes_at), 0.0)

    # The thread

    def run(self) -> None:
        """Write queued output until `stop`."""
        try:
            while chunk := self._next():
                self._send(chunk)
        except OSError:
            # The terminal is gone; the process ends with it.
            return

    def _next(self) -> bytes:
        with self._waiting:
            while not self._pending and not self._stopped:
                self._waiting.wait()
            chunk = bytes(self._pending[:CHUNK_BYTES])
            del self._pending[:CHUNK_BYTES]
            return chunk

    def _send(self, chunk: bytes) -> None:
        while chunk:
            try:
                taken = os.write(self._out, chunk)
            except BlockingIOError:
                self._wait_for_room()
                continue
            chunk = chunk[taken:]
            now = time.monotonic()
            self._kernel_bytes, self._kernel_bytes_at = self._estimate_kernel_bytes(now) + taken, now
            self._since_full += taken
        self._full = False
        self._speed = min(self._speed * SPEED_GROWTH, FASTEST)
        if self._kernel_bytes > 1.25 * PTY_BYTES:
            # It accepted more than its buffer holds, so it is faster than estimated.
            self._speed, self._kernel_bytes = FASTEST, 0.0

    def _wait_for_room(self) -> None:
        now = time.monotonic()
        if self._full_at is not None and now - self._full_at >= SHORTEST_MEASURE:
            passed = now - self._full_at
            if self._since_full and passed <= LONGEST_MEASURE:
                self._speed = max(self._since_full / passed, SLOWEST)
            self._full_at, self._since_full = now, 0
        elif self._full_at is None:
            self._full_at, self._since_full = now, 0
        if self._speed < FASTEST:
            self._kernel_bytes, self._kernel_bytes_at = PTY_BYTES, now
        self._full = True
        self._on_full()
        select.select([], [self._out], [])
