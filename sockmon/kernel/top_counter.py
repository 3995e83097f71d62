"""The most frequent keys of a stream of any length, in bounded memory and with a bound on the error.

All keys are counted exactly until there are MAX_KEYS different ones. Then only the KEPT_KEYS largest stay; a key
that comes back was missed at most as often as the largest dropped one can have been seen (Space-Saving, of
Metwally and others, with many keys dropped at once). A key that was always among the largest is counted exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Generic, TypeVar

MAX_KEYS, KEPT_KEYS = 1 << 15, 1 << 13
"""32,768 keys of four numbers take about 8 MB. A walk over a million different keys is wrong by 40 of each."""

K = TypeVar("K")
Frequency = tuple[K, int, int]
"""A key, how often it was seen at least, and at most how many times more."""


class TopCounter(Generic[K]):
    """Counts keys, of which it keeps the most frequent ones."""

    def __init__(self) -> None:
        self._counts: Counter[K] = Counter()
        """Keys that are kept, each with how often it was seen since."""
        self._missed: dict[K, int] = {}
        """Of keys that stayed when others were dropped: how often each may have been seen before."""
        self._dropped = 0
        """How often a key that is not kept may have been seen at most."""

    @property
    def distinct(self) -> int | None:
        """How many different keys there were; None if some were dropped."""
        return None if self._dropped else len(self._counts)

    def add(self, keys: Iterable[K]) -> None:
        """Count `keys`, at most some thousands at once."""
        self._counts.update(keys)
        if len(self._counts) > MAX_KEYS:
            self._drop_small()

    def add_many(self, key: K, number: int) -> None:
        """Count one key so many times."""
        self.add(())
        self._counts[key] += number

    def most_common(self, number: int) -> list[Frequency[K]]:
        """Return the `number` most frequent keys by what was counted, largest first; those that come first in the
        stream first."""
        return [(key, count, self._missed_of(key)) for key, count in self._counts.most_common(number)]

    def _missed_of(self, key: K) -> int:
        return self._missed.get(key, self._dropped)

    def _drop_small(self) -> None:
        """Keep the KEPT_KEYS keys that may be the most frequent ones."""
        missed, dropped = self._missed, self._dropped
        upper = {key: count + missed.get(key, dropped) for key, count in self._counts.items()}
        largest = sorted(upper.values(), reverse=True)
        self._dropped = max(dropped, largest[KEPT_KEYS])
        above = [key for key, most in upper.items() if most > largest[KEPT_KEYS]]
        equal = (key for key, most in upper.items() if most == largest[KEPT_KEYS])
        kept = [*above, *(key for key, _ in zip(equal, range(KEPT_KEYS - len(above)), strict=False))]
        self._missed = {key: missed.get(key, dropped) for key in kept}
        self._counts = Counter({key: self._counts[key] for key in kept})
