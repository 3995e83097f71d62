"""Reads that may never return, made in a thread: cmdline and maps wait for the memory lock of their process.

A process that hangs in the kernel with its memory lock held hangs every reader of these two files. Such a read
costs one daemon thread, never the table of processes, and never keeps the program from ending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from sockmon.errors import ReadError
from sockmon.kernel.netlink import Incremental

T = TypeVar("T")
_READER = "processes"
_STEP_SECONDS = 0.002


class ReadHung(ReadError):
    """The read did not return in time; it may still hang."""

    def __init__(self, reader: str, reason: str, still_hangs: Callable[[], bool] = lambda: True) -> None:
        super().__init__(reader, reason)
        self.still_hangs = still_hangs
        """Return whether the read has not returned since."""


class TimeoutReader:
    """Calls one function at a time in a thread, and waits `timeout` seconds for it.

    A thread that does not return is abandoned; while there are `max_hung` of them nothing is called."""

    def __init__(self, timeout: float = 0.5, max_hung: int = 3) -> None:
        self._timeout = timeout
        self._max_hung = max_hung
        self._hung: list[_ReaderThread] = []
        self._thread: _ReaderThread | None = None

    def call(self, read: Callable[[], T]) -> T:
        """Return what `read` returns, or raise what it raises; ReadHung if it takes too long, ReadError if there
        is no thread."""
        results: list[T] = []
        thread = self._begin(lambda: results.append(read()))
        try:
            error = thread.answers.get(timeout=self._timeout)
        except Empty:
            self._thread = None
            raise self._abandon(thread) from None
        if error is not None:
            raise error
        return results[0]

    def call_in_steps(self, read: Callable[[], T]) -> Incremental[T]:
        """Do the same in steps that wait some milliseconds each, so that the caller can do other work meanwhile,
        also other calls."""
        results: list[T] = []
        thread = self._begin(lambda: results.append(read()))
        # Other calls take another thread, so that none of them finds this answer.
        self._thread = None
        end = time.monotonic() + self._timeout
        try:
            while True:
                try:
                    error = thread.answers.get(timeout=_STEP_SECONDS)
                    break
                except Empty:
                    if time.monotonic() >= end:
                        raise self._abandon(thread) from None
                yield
        except GeneratorExit:
            self._abandon(thread)
            raise
        if self._thread is None:
            self._thread = thread
        else:
            thread.calls.put(None)
        if error is not None:
            raise error
        return results[0]

    def _begin(self, call: Callable[[], None]) -> _ReaderThread:
        """Let the thread make a call, and return the thread."""
        if self._thread is None:
            self._thread = self._start_thread()
        self._thread.calls.put(call)
        return self._thread

    def _abandon(self, thread: _ReaderThread) -> ReadHung:
        """Take no answer of this thread any more; if its read returns, it finds its end next in the queue."""
        self._hung.append(thread)
        thread.calls.put(None)
        reason = "the read does not return: the process holds its memory lock"
        return ReadHung(_READER, reason, thread.is_alive)

    def close(self) -> None:
        """End the thread, as soon as its read returns."""
        if self._thread is not None:
            self._thread.calls.put(None)
            self._thread = None

    def _start_thread(self) -> _ReaderThread:
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        if len(self._hung) >= self._max_hung:
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
