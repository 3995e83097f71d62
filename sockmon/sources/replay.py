"""A stream from a file or a pipe, at the pace at which it was recorded."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sockmon.errors import BadRecording
from sockmon.model.clean import clean
from sockmon.model.detail import Detail, Request
from sockmon.model.snapshot import Snapshot
from sockmon.sources.wire import Hello, read_stream


class Replay:
    """A recording; `-` is standard input. With `pace` its Snapshots come as far apart as they were taken."""

    live = False

    def __init__(self, path: str, pace: bool = True) -> None:
        self.title = "stdin" if path == "-" else clean(Path(path).name, 40)
        self._name = "standard input" if path == "-" else clean(path)
        self._pace = pace and path != "-"
        self._closed = threading.Event()
        self._stream = self._open(path)

    def _open(self, path: str) -> BinaryIO:
        try:
            # A descriptor of its own: the screen then makes standard input its keyboard.
            return open(os.dup(0), "rb") if path == "-" else open(path, "rb")
        except OSError as error:
            raise BadRecording(f"{self._name} cannot be read: {error.strerror}") from error

    def lines(self) -> Iterator[Snapshot | Detail]:
        """Snapshots and Details in their order, until the recording ends or is closed."""
        before: Snapshot | None = None
        try:
            with self._stream:
                for line in read_stream(self._stream, self._name):
                    if isinstance(line, Snapshot):
                        self._wait(before, line)
                        before = line
                    if self._closed.is_set():
                        return
                    if not isinstance(line, Hello):
                        yield line
        except OSError as error:
            raise BadRecording(f"{self._name} cannot be read: {error.strerror}") from error
        if before is None:
            raise BadRecording(f"{self._name} holds no Snapshot", "record for longer")

    def _wait(self, before: Snapshot | None, now: Snapshot) -> None:
        if self._pace and before is not None:
            # A suspended recorder leaves a gap that nobody wants to sit through.
            self._closed.wait(min(max(now.at - before.at, 0.0), 2 * max(now.interval, 1.0)))

    def ask(self, request: Request) -> bool:
        """A recording holds no single sockets."""
        return False

    def close(self) -> None:
        """Let `lines` end."""
        self._closed.set()
