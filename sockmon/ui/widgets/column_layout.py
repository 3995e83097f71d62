"""Which columns a table of some width shows: the first view by importance, the others by scrolling.

The first view drops the least important columns. Scrolling to the right shows them: the pinned columns stay, the
others move, those of the first view first. `‹2` and `+5›` mark how many columns are hidden on each side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

from sockmon.ui.widgets.column import GAP, Column, Row

MIN_FLEX_CELLS = 10
"""Minimum cells of the column that takes the remaining width, while others are scrolled."""

ColumnWidths = Sequence[tuple[Column[Row], int]]
"""The visible columns with their widths, marks included."""


@dataclass(frozen=True)
class HiddenMark(Column[Row]):
    """A mark in the heading: how many columns are hidden on one side; a click scrolls by `step`."""

    step: int = 0


def _hidden_left(hidden: int) -> list[HiddenMark[Any]]:
    title = f"‹{hidden}"
    return [HiddenMark(title, len(title), lambda row: "", step=-1)] if hidden else []


def _hidden_right(hidden: int) -> list[HiddenMark[Any]]:
    title = f"+{hidden}›"
    return [HiddenMark(title, len(title), lambda row: "", step=1)] if hidden else []


def _total_width(columns: Sequence[Column[Row]], flex: int) -> int:
    return sum(column.width or flex for column in columns) + GAP * max(len(columns) - 1, 0)


class ColumnLayout(Generic[Row]):
    """The columns of a table at one width, and the views that scrolling goes through; `signs`: whether the heading
    shows how many are hidden."""

    def __init__(self, columns: Sequence[Column[Row]], width: int, flex: int, signs: bool = True) -> None:
        self._columns = tuple(columns)
        self._width = width
        self._flex = flex
        self._signs = signs
        self._first = self._by_importance()
        hidden = [column for column in self._columns if column not in self._first]
        pinned = [column for column in self._first if column.pin] or [
            next((column for column in self._first if not column.width), self._first[0])
        ]
        rest = [column for column in (*self._first, *hidden) if column not in pinned]
        self._pinned, self._rest = self._leave_room(pinned, rest) if hidden else (pinned, rest)
        self._start = int(any(column in self._rest for column in self._first))
        """The index in `_rest` at which the first scrolled view begins."""
        self.max_skip = self._last_skip() if hidden else 0
        """How many columns can be scrolled away."""

    @property
    def order(self) -> tuple[Column[Row], ...]:
        """All columns, in the order of scrolling."""
        return (*self._first, *(column for column in self._rest if column not in self._first))

    def view(self, skip: int) -> ColumnWidths[Row]:
        """Return the visible columns after `skip` columns were scrolled away."""
        if skip == 0:
            behind = _hidden_right(self.hidden(0)[1]) if self._signs else []
            return self._sized([*self._first, *behind], self._flex)
        hidden = self.hidden(skip)
        before, behind = (_hidden_left(hidden[0]), _hidden_right(hidden[1])) if self._signs else ([], [])
        return self._sized([*self._pinned, *before, *self._scrolled(self._begin(skip)), *behind], MIN_FLEX_CELLS)

    def hidden(self, skip: int) -> tuple[int, int]:
        """Return how many columns are hidden to the left and to the right."""
        if skip == 0:
            return 0, len(self._columns) - len(self._first)
        begin = self._begin(skip)
        return begin, len(self._rest) - begin - len(self._scrolled(begin))

    def _begin(self, skip: int) -> int:
        """Return the index in `_rest` of the first column of a scrolled view."""
        return skip - 1 + self._start

    def skip_to(self, title: str, skip: int) -> int:
        """Return the skip nearest to `skip` that shows the column of that title."""
        for wanted in sorted(range(self.max_skip + 1), key=lambda each: abs(each - skip)):
            if any(column.title == title for column, _ in self.view(wanted)):
                return wanted
        return skip

    def _by_importance(self) -> list[Column[Row]]:
        shown = [column for column in self._columns if not column.scrolled_only] or list(self._columns)

        def need() -> int:
            behind = _hidden_right(len(self._columns) - len(shown)) if self._signs else []
            return _total_width([*shown, *behind], self._flex)

        while len(shown) > 1 and need() > self._width:
            optional = [column for column in shown if not column.keep_when_narrow]
            shown.remove(optional[-1] if optional else shown[-1])
        return shown

    def _leave_room(
        self, pinned: list[Column[Row]], rest: list[Column[Row]]
    ) -> tuple[list[Column[Row]], list[Column[Row]]]:
        """Pin only as many columns as leave room for the widest other one."""
        while len(pinned) > 1:
            widest = max(rest, key=lambda column: column.width or MIN_FLEX_CELLS)
            if _total_width([*pinned, *_hidden_left(9), widest, *_hidden_right(9)], MIN_FLEX_CELLS) <= self._width:
                break
            rest = [pinned[0], *rest]
            pinned = pinned[1:]
        return pinned, rest

    def _scrolled(self, begin: int) -> list[Column[Row]]:
        """Return the columns from `begin` on that fit next to the pinned ones; at least one."""
        shown: list[Column[Row]] = []
        for column in self._rest[begin:]:
            behind = _hidden_right(len(self._rest) - begin - len(shown) - 1)
            views = [*self._pinned, *_hidden_left(begin), *shown, column, *behind]
            if shown and _total_width(views, MIN_FLEX_CELLS) > self._width:
                break
            shown.append(column)
        return shown

    def _last_skip(self) -> int:
        """Return the smallest skip that shows the last column."""
        skip = 1
        while self.hidden(skip)[1]:
            skip += 1
        return skip

    def _sized(self, columns: Sequence[Column[Row]], flex: int) -> ColumnWidths[Row]:
        rest = max(self._width - _total_width(columns, flex), 0)
        return [(column, column.width or min(flex + rest, self._width)) for column in columns]
