"""Dumps that are not made, because cheap numbers show that they would find the same again."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from sockmon.kernel.netlink import Incremental

T = TypeVar("T")


class UnlessUnchanged(Generic[T]):
    """Makes a dump, unless the numbers of the last one are the same and it is less than `seconds` old."""

    def __init__(
        self, numbers: Callable[[], Hashable], dump: Callable[[], Incremental[T]], seconds: float
    ) -> None:
        """`numbers` returns None if they cannot be read."""
        self._numbers = numbers
        self._dump = dump
        self._seconds = seconds
        self._last: tuple[Hashable, float, T] | None = None

    def steps(self) -> Incremental[T]:
        """Return what the dump finds, or has found; raise what it raises."""
        # Read before the dump: what happens meanwhile is seen the next time.
        numbers, now = self._numbers(), time.monotonic()
        if self._last is not None and numbers is not None:
            before, at, value = self._last
            if before == numbers and now - at < self._seconds:
                return value
        value = yield from self._dump()
        self._last = (numbers, now, value)
        return value
