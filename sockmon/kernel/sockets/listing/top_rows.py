"""The first sockets in an order, of any number of them: never more than twice as many are kept."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")


class TopRows(Generic[Row]):
    """Keeps the `limit` rows with the smallest keys, or the largest; rows with an unknown key come after them."""

    def __init__(self, limit: int, largest: bool) -> None:
        self._limit, self._largest = limit, largest
        self._rows: list[tuple[Any, Row]] = []
        self._unknown: list[Row] = []
        self._worst: Any = None
        """The key that a row must beat; None while there is room."""

    def wanted(self, keys: Iterable[Any]) -> list[int]:
        """Return the numbers of those of `keys` whose rows are to be added."""
        worst = self._worst
        if worst is None:
            return [number for number, _ in enumerate(keys)]
        if self._largest:
            return [number for number, key in enumerate(keys) if key is not None and key > worst]
        return [number for number, key in enumerate(keys) if key is not None and key < worst]

    def add(self, key: Any, row: Row) -> None:
        """Add a row; None is an unknown key."""
        if key is None:
            if len(self._unknown) < self._limit:
                self._unknown.append(row)
            return
        self._rows.append((key, row))
        if len(self._rows) >= 2 * self._limit:
            self._shrink()

    def first(self, most: int) -> list[Row]:
        """Return the first rows in order, at most `most`; of equal ones that which came first."""
        self._shrink()
        return [*(row for _, row in self._rows[:most]), *self._unknown][:most]

    def _shrink(self) -> None:
        self._rows.sort(key=itemgetter(0), reverse=self._largest)
        if len(self._rows) >= self._limit:
            del self._rows[self._limit :]
            self._worst = self._rows[-1][0]
