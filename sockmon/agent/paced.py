"""Work that is too dear for every tick: taken in small steps, and begun again as often as its share allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from sockmon.errors import Unreadable
from sockmon.kernel.netlink import Steps

T = TypeVar("T")


class Paced(Generic[T]):
    """The last result of some work, when it was finished, and when the work is due again.

    `share` is the part of one processor that it may use on average: work that costs 130 ms with a share of 0.01
    is begun every 13 s, work that costs 3 ms every `least` seconds.
    """

    def __init__(self, reader: str, begin: Callable[[], Steps[T]], share: float, least: float = 0.0) -> None:
        self.reader = reader
        self.value: T | None = None
        self.at: float | None = None
        """CLOCK_BOOTTIME seconds at which the last complete run began: nothing of it is older."""
        self.reason: str | None = None
        """Why the last run gave nothing."""
        self.runs = 0
        self._begin = begin
        self._share = share
        self._least = least
        self._steps: Steps[T] | None = None
        self._begun = -1e9
        self._spent = 0.0
        self._wait = 0.0

    @property
    def active(self) -> bool:
        """True in the middle of a run."""
        return self._steps is not None

    def due(self, now: float) -> bool:
        """True when a run may begin."""
        return not self.active and now - self._begun >= self._wait

    def soon(self) -> None:
        """Begin again at the next opportunity: the operator asked for news."""
        self._wait = 0.0

    def run(self, seconds: float) -> None:
        """Begin or go on for about `seconds` of the processor's time, or to the end."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._steps is None:
            self._steps, self._begun, self._spent = self._begin(), now, 0.0
        start = time.process_time()
        try:
            while time.process_time() - start < seconds:
                next(self._steps)
        except StopIteration as end:
            self._finish(end.value, None)
        except Unreadable as error:
            self._finish(
                None, f"{error.reader}: {error.message}" if error.reader != self.reader else error.message
            )
        self._spent += time.process_time() - start
        if self._steps is None:
            # The first run learns what later ones only compare: its cost says nothing about theirs.
            self._wait = max(self._least, self._spent / self._share) if self.runs > 1 else self._least

    def _finish(self, value: T | None, reason: str | None) -> None:
        self._steps, self.reason = None, reason
        self.runs += 1
        if reason is None:
            self.value = value
            self.at = self._begun
