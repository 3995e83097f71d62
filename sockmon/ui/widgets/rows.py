"""The rows of a table: which of them match the filter, and their order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Generic

from sockmon.ui.filtering.filter import OWNER_FIELDS, Filter, Filterable
from sockmon.ui.widgets.column import Column, Row

UP, DOWN = "▴", "▾"
UNFILTERABLE = Filterable({}, lambda row: {})


class Rows(Generic[Row]):
    """All rows, the filter and the order."""

    def __init__(self, filterable: Filterable | None, default_order: str) -> None:
        self.all: Sequence[Row] = ()
        self.filter = Filter()
        self.column: Column[Row] | None = None
        """The column that they are sorted by; None for the default order."""
        self.reverse = False
        self.owner_unknown = 0
        """Number of rows that the filter hides only because their owner is not known."""
        self._filterable = filterable or UNFILTERABLE
        self.default_order = default_order

    def arranged(self) -> Sequence[Row]:
        """Return the rows that are shown, in their order; unknown values come last in either direction."""
        rows = self._matching()
        if self.column is None or self.column.sort is None:
            return tuple(reversed(rows)) if self.reverse else rows
        value = self.column.sort
        known = [row for row in rows if value(row) is not None]
        known.sort(key=value, reverse=self.reverse)
        return (*known, *(row for row in rows if value(row) is None))

    def _matching(self) -> Sequence[Row]:
        self.owner_unknown = 0
        wanted = self.filter.known(self._filterable.known)
        if not wanted:
            return self.all
        facts = [(row, self._filterable.values_of(row)) for row in self.all]
        matching = [row for row, known in facts if wanted.matches(known)]
        # If a word matches some rows, it may not be the name of a process.
        if not matching or any(term.field in OWNER_FIELDS for term in wanted.terms):
            self.owner_unknown = sum(wanted.owner_unknown(known) for _, known in facts)
        return matching

    def sort_by(self, column: Column[Row] | None, reverse: bool | None) -> None:
        """Sort by a column (None: default order); `reverse` None: numbers begin with the largest."""
        first = column.sorts_descending if column else False
        self.column, self.reverse = column, first if reverse is None else reverse

    def is_sorted_by(self, column: Column[Row]) -> bool:
        """Return whether rows are sorted by a column, compared by title: columns differ with the width."""
        return self.column is not None and self.column.title == column.title

    @property
    def order(self) -> str:
        """The order and its direction, `headroom ▾`; empty if the rows have no named order."""
        if self.column is None:
            return f"{self.default_order} {DOWN if not self.reverse else UP}" if self.default_order else ""
        return f"{self.column.title} {self.arrow}"

    @property
    def arrow(self) -> str:
        """The direction of the order."""
        return DOWN if self.reverse else UP

    @property
    def fields(self) -> Collection[str]:
        """The fields of the filter that these rows have."""
        return self._filterable.known

    @property
    def filtered(self) -> bool:
        """Whether a term of the filter applies to these rows."""
        return bool(self.filter.known(self._filterable.known))

    @property
    def ignored_terms(self) -> str:
        """`not filtered: has no port`; empty if every term of the filter applies."""
        return self.filter.ignored_note(self._filterable.known)
