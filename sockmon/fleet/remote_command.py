"""One command on another host over ssh, whose answer has a limit of time and of size."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from sockmon.errors import SourceLost
from sockmon.sources.lines import Descriptor

MAX_SECONDS = 60.0
MAX_ANSWER_BYTES = 64 << 20
"""Two samples of a host with 100,000 processes; the report of a usual host has 40 kB."""
MAX_LAST_WORDS = 4096
_GRACE_SECONDS = 1.0
_CHUNK_BYTES = 1 << 16


class RemoteCommand:
    """Reads what the command prints, and sends `parcel` to it meanwhile. A context manager, whose end ends ssh."""

    code = 0
    """Its exit code, once the context has ended; 0 if it had to be stopped."""
    last_words = b""
    """The end of its stderr, or of its stdout if that is empty, once the context has ended: nologin(8) and
    commands that authorized_keys prescribes say on stdout why there is no report."""

    def __init__(self, argv: Sequence[str], parcel: bytes = b"") -> None:
        """Start it; raise OSError if it cannot be started."""
        stdin = subprocess.PIPE if parcel else subprocess.DEVNULL
        self._process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stderr
        self._stream = Descriptor(os.dup(self._process.stdout.fileno()), os.dup(self._process.stderr.fileno()))
        if self._process.stdin:
            os.set_blocking(self._process.stdin.fileno(), False)
            self._stream.send(self._process.stdin.fileno(), parcel, self._process.stdin.close)
        self._timer = threading.Timer(MAX_SECONDS, self._stream.stop)
        self._size = 0
        self._tail = b""

    def __enter__(self) -> RemoteCommand:
        self._timer.start()
        return self

    def read(self, size: int = _CHUNK_BYTES) -> bytes:
        """Return the next bytes of the answer; empty at its end. Raise SourceLost if it comes too slowly or is too
        long."""
        data = self._stream.read(size)
        if not data and not self._stream.ended:
            raise SourceLost(f"no report within {MAX_SECONDS:.0f} s")
        self._size += len(data)
        self._tail = (self._tail + data)[-MAX_LAST_WORDS:]
        if self._size > MAX_ANSWER_BYTES:
            raise SourceLost(f"it printed more than {MAX_ANSWER_BYTES >> 20} MiB, and was stopped")
        return data

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        stopped = not self._stream.ended
        if stopped:
            self._process.kill()
        errors = self._stream.stderr_tail()
        self.last_words = errors if errors.strip() else self._tail
        with self._process as process:
            try:
                code = process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                stopped = True
                process.kill()
                code = process.wait()
        self.code = 0 if stopped else code
        with suppress(OSError):
            self._stream.close()
