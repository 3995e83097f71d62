"""A stream from a file or a pipe, at the pace at which it was recorded."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from sockmon.errors import BadRecording
from sockmon.model.detail import Detail, Request
from sockmon.model.snapshot import Snapshot
from sockmon.sources.lines import Descriptor
from sockmon.sources.recording_damage import Damage
from sockmon.sources.wire import Hello, read_stream
from sockmon.text import sanitize


class Replay:
    """A recording; `-` is standard input. With `pace` its Snapshots come as far apart as they were taken."""

    live, remote = False, False

    def __init__(self, path: str, pace: bool = True) -> None:
        self.title = "stdin" if path == "-" else sanitize(Path(path).name, 40)
        self._name = "standard input" if path == "-" else sanitize(path)
        self._pace = pace and path != "-"
        self._closed = threading.Event()
        self._stream = self._open(path)

    def _open(self, path: str) -> Descriptor:
        try:
            # A copy, because the screen makes the terminal its standard input. O_NONBLOCK, because the open of a
            # FIFO would block until a writer opens it.
            number = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if stat.S_ISDIR(os.fstat(number).st_mode):
                os.close(number)
                raise BadRecording(f"{self._name} is a directory", "name the file of a recording")
            return Descriptor(number)
        except OSError as error:
            hint = (
                "a recording is a file; on the other host run: sockmon check" if path.startswith("ssh://") else ""
            )
            raise BadRecording(f"{self._name} cannot be read: {error.strerror}", hint) from error

    def lines(self) -> Iterator[Snapshot | Detail | Damage]:
        """Yield Snapshots and Details in their order, and the Damage so far after each line that cannot be used.

        Raises BadRecording if no Snapshot can be read."""
        before: Snapshot | None = None
        damage = Damage()
        try:
            for line in read_stream(self._stream.read, self._name):
                if isinstance(line, Snapshot):
                    self._wait(before, line)
                    before = line
                if self._closed.is_set():
                    return
                if isinstance(line, Damage):
                    damage = line
                if not isinstance(line, Hello):
                    yield line
        except OSError as error:
            raise BadRecording(f"{self._name} cannot be read: {error.strerror}") from error
        finally:
            self._stream.close()
        if before is None:
            raise BadRecording(f"{self._name} has no samples", damage.text() or "record for longer")

    def _wait(self, before: Snapshot | None, now: Snapshot) -> None:
        if self._pace and before is not None:
            # A recorder that was suspended leaves a gap, which may be hours long: it is not waited for.
            self._closed.wait(min(max(now.at - before.at, 0.0), 2 * max(now.interval, 1.0)))

    def ask(self, request: Request) -> bool:
        """Return False: a recording has no details."""
        return False

    def retry(self) -> None:
        """Do nothing: a recording has no agent."""

    def close(self) -> None:
        """End `lines`."""
        self._closed.set()
        self._stream.stop()
