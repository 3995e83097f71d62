"""Work that is too expensive for every tick: it runs in small steps, and as often as its share of a processor
allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from sockmon.agent.part import to_missing
from sockmon.kernel.netlink import Incremental

TOTAL_PERCENT = 5.0
"""Part of one processor that all budgets together are made for; those of one host are a little less."""
FIRST_RUN_PARTS, MAX_FIRST_WAIT = 10, 5.0
"""Runs over which the cost of the first one is spread, and the seconds that each of them waits for it at most: the
first one fills caches, so the second should not wait for all of it, but it is not free."""

T_co = TypeVar("T_co", covariant=True)


class Budget(NamedTuple):
    """How often a task may run: with a share of 0.01, one that costs 130 ms starts every 13 s."""

    share: float
    """Part of one processor that the task may use on average."""
    min_interval: float
    """Seconds between two starts at least, however little the task costs."""


class BudgetedTask(Generic[T_co]):
    """A task with the result of its last run, and the time from which on it may run again."""

    def __init__(self, reader: str, begin: Callable[[], Incremental[T_co]], budget: Budget) -> None:
        self.reader = reader
        self.at: float | None = None
        """CLOCK_BOOTTIME seconds at which the last successful run started; no part of its result is older."""
        self.reason: str | None = None
        """Why the last run failed; None if it did not."""
        self.runs = 0
        self._value: T_co | None = None
        self._begin = begin
        self.budget = budget
        """May be replaced; it holds from the end of the next run on."""
        self._steps: Incremental[T_co] | None = None
        self._started = float("-inf")
        self._spent = 0.0
        self._wait = 0.0
        self._first_wait = 0.0
        """Seconds that each of the first runs waits longer, for the first one."""

    @property
    def value(self) -> T_co | None:
        """Return the result of the last successful run; None before there was one."""
        return self._value

    @property
    def active(self) -> bool:
        """Return whether a run has started and not ended."""
        return self._steps is not None

    def due(self, now: float) -> bool:
        """Return whether a run may start."""
        return not self.active and now - self._started >= self._wait

    def seconds_until_due(self, now: float) -> float:
        """Return how long it takes until a run may start, or 0."""
        return max(self._started + self._wait - now, 0.0)

    def reschedule(self) -> None:
        """Let the next run start at the next opportunity, whatever the budget."""
        self._wait = 0.0

    def run(self, seconds: float, scale: float = 1.0) -> None:
        """Start or continue a run for about `seconds` of processor time, or to its end; after it the share of the
        budget counts `scale` times."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        begin = time.process_time()
        try:
            if self._steps is None:
                self._started, self._spent = now, 0.0
                self._steps = self._begin()
            while time.process_time() - begin < seconds:
                next(self._steps)
        except StopIteration as end:
            self._value, self.at = end.value, self._started
            self._end_run(None)
        except Exception as error:
            missing = to_missing(self.reader, error)
            own = missing.reader == self.reader
            self._end_run(missing.reason if own else f"{missing.reader}: {missing.reason}")
        self._spent += time.process_time() - begin
        if self._steps is None:
            self._wait = max(self.budget.min_interval, self._seconds_to_wait(self.budget.share * scale))

    def _seconds_to_wait(self, share: float) -> float:
        """Return the time in which the last run pays its own cost, and its part of that of the first one, with a
        `share` of a processor."""
        if self.runs == 1:
            self._first_wait = min(self._spent / FIRST_RUN_PARTS / share, MAX_FIRST_WAIT)
            return self._first_wait
        return self._spent / share + (self._first_wait if self.runs <= FIRST_RUN_PARTS else 0.0)

    def _end_run(self, reason: str | None) -> None:
        self._steps, self.reason = None, reason
        self.runs += 1
