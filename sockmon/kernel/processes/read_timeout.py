"""Reads that may never return, made in a thread: cmdline and maps wait for the memory lock of their process.

A process that hangs in the kernel with its memory lock held hangs every reader of these two files. Such a read
costs one daemon thread, never the table of processes, and never keeps the program from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from sockmon.errors import ReadError

T = TypeVar("T")
_READER = "processes"


class ReadHung(ReadError):
    """The read did not return in time; it may still hang."""


class TimeoutReader:
    """Calls one function at a time in a thread, and waits `timeout` seconds for it.

    A thread that does not return is abandoned; after `max_hung` of them nothing is called any more."""

    def __init__(self, timeout: float = 0.5, max_hung: int = 3) -> None:
        self._timeout = timeout
        self._threads_left = max_hung
        self._thread: _ReaderThread | None = None

    def call(self, read: Callable[[], T]) -> T:
        """Return what `read` returns, or raise what it raises; ReadHung if it takes too long, ReadError if there
        is no thread."""
        if self._thread is None:
            self._thread = self._start_thread()
        results: list[T] = []
        self._thread.calls.put(lambda: results.append(read()))
        try:
            error = self._thread.answers.get(timeout=self._timeout)
        except Empty:
            # Its answer is not taken any more; if the read returns, the thread finds its end next in the queue.
            self._threads_left -= 1
            self.close()
            raise ReadHung(_READER, "the read does not return: the process holds its memory lock") from None
        if error is not None:
            raise error
        return results[0]

    def close(self) -> None:
        """End the thread, as soon as its read returns."""
        if self._thread is not None:
            self._thread.calls.put(None)
            self._thread = None

    def _start_thread(self) -> _ReaderThread:
        if self._threads_left == 0:
            raise ReadError(_READER, "too many reads hang already")
        thread = _ReaderThread()
        try:
            thread.start()
        except RuntimeError as error:
            raise ReadError(_READER, "no thread could be started") from error
        return thread


class _ReaderThread(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="reader", daemon=True)
        self.calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.answers: SimpleQueue[Exception | None] = SimpleQueue()

    def run(self) -> None:
        while (call := self.calls.get()) is not None:
            try:
                call()
                self.answers.put(None)
            except Exception as error:
                self.answers.put(error)
