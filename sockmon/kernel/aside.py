"""Reads that may never come back, done aside: cmdline and maps wait for a lock of the process that they are about.

A process that hangs in the kernel with its memory lock held hangs everyone who reads these two. Such a read
costs a daemon thread here, never the table of processes, and never the end of the program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from sockmon.errors import Unreadable

T = TypeVar("T")
_Answer = tuple[object, "OSError | None"]


class Blocked(Unreadable):
    """The read did not come back in time; it may still hang."""


class Aside:
    """Calls one function at a time in a thread, and waits `patience` seconds for it.

    A thread that does not come back is given up; after `lanes` of them nothing is called any more."""

    def __init__(self, patience: float = 0.5, lanes: int = 3) -> None:
        self._patience = patience
        self._left = lanes
        self._lane: _Lane | None = None

    def call(self, read: Callable[[], T]) -> T:
        """The result of `read`, or its OSError; Blocked when it takes too long, Unreadable without a thread."""
        if self._lane is None:
            self._lane = self._open()
        self._lane.calls.put(read)
        try:
            result, error = self._lane.answers.get(timeout=self._patience)
        except Empty:
            # Nobody takes its answer any more: should it come back, it finds the end next in its queue.
            self._left -= 1
            self.close()
            raise Blocked("aside", "the read does not come back: the process holds its memory lock") from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def close(self) -> None:
        """End the thread, as soon as it comes back."""
        if self._lane is not None:
            self._lane.calls.put(None)
            self._lane = None

    def _open(self) -> _Lane:
        if self._left == 0:
            raise Unreadable("aside", "too many reads hang already")
        lane = _Lane()
        try:
            lane.start()
        except RuntimeError as error:
            raise Unreadable("aside", "no thread could be started") from error
        return lane


class _Lane(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="aside", daemon=True)
        self.calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.answers: SimpleQueue[_Answer] = SimpleQueue()

    def run(self) -> None:
        while (read := self.calls.get()) is not None:
            try:
                self.answers.put((read(), None))
            except OSError as error:
                self.answers.put((None, error))
