"""A table: rows that are filtered, sorted, scrolled and opened, by keys and by clicks.

`Rows` filters and sorts, `ColumnLayout` chooses the visible columns, `Grid` draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollLeft, MouseScrollRight
from textual.message import Message

from sockmon.ui import keys
from sockmon.ui.filtering.filter import Filter
from sockmon.ui.widgets.column import GAP, Column, Row
from sockmon.ui.widgets.column_layout import HiddenMark
from sockmon.ui.widgets.grid import Grid

__all__ = ["Column", "Table"]


@dataclass
class TableMessage(Message):
    """A message of a table to its screen."""

    table: Table[Any]

    @property
    def control(self) -> Table[Any]:
        return self.table


@dataclass
class RowMessage(TableMessage):
    """A message about a row."""

    row: Any


class Table(Grid[Row]):
    """A table whose cursor stays on its row, by key, when rows move."""

    DEFAULT_CSS = """
    Table {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-color: $pane-border;
        scrollbar-color-hover: $pane-focus;
        scrollbar-color-active: $pane-focus;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
    }
    Table > .table--cursor { background: $cursor-background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("table"))

    class Opened(RowMessage):
        """A row was opened, by Enter or a click on the cursor's row. The screen opens a page, or shows in a line
        what the row is and where it is listed."""

    class Moved(RowMessage):
        """The cursor moved to another row."""

    class Passed(TableMessage):
        """The cursor would leave the table at its end: `step` is 1, or -1 at its begin."""

        def __init__(self, table: Table[Any], step: int) -> None:
            super().__init__(table)
            self.step = step

    class Arranged(TableMessage):
        """The order or the visible columns changed."""

    _cursor_may_be_hidden = False
    """Whether the cursor may be outside the visible part."""

    # Data

    def show(self, rows: Sequence[Row]) -> None:
        """Show new rows that match the filter, in the default order unless a column was chosen."""
        self.listed.all = rows
        self.arranged = self.listed.arranged()
        self._find_cursor()
        self._resize_canvas()
        self.repaint()
        if self._cursor_may_be_hidden:
            self._cursor_may_be_hidden = False
            self.show_cursor()

    def set_filter(self, wanted: Filter) -> None:
        """Filter the rows from the next `show` on; terms for fields that the rows lack are ignored:
        `listed.ignored_terms` names them."""
        if wanted != self.listed.filter:
            self.listed.filter = wanted
            # If the filter hides the cursor's row, the first match is the best place.
            self.cursor, self._cursor_may_be_hidden = 0, True

    @property
    def matching(self) -> str:
        """`3 of 412 match`, and how many more might; empty without a filter."""
        if not self.listed.filtered:
            return ""
        unknown = self.listed.owner_unknown
        might = f", owner of {unknown:,} unknown" if unknown else ""
        return f"{len(self.arranged):,} of {len(self.rows):,} match{might}"

    def sort_by(self, title: str | None, reverse: bool | None = None) -> None:
        """Sort by the column of that title (None: default order), and scroll to it."""
        column = next((column for column in self.columns if title and column.title == title), None)
        self.listed.sort_by(column, reverse)
        if column:
            self._skip = self._column_layout.skip_to(column.title, self._skip)
        self._cursor_may_be_hidden = True
        self.show(self.rows)
        self.post_message(self.Arranged(self))

    @property
    def order(self) -> str:
        """The order of the rows and its direction."""
        return self.listed.order

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self.arranged[self.cursor] if self.arranged else None

    def _find_cursor(self) -> None:
        """Follow the cursor's row; if it is gone, keep the position: the top, if it was never moved."""
        if self._cursor_key is not None:
            for index, row in enumerate(self.arranged):
                if self.key(row) == self._cursor_key:
                    self.cursor = index
                    return
        self.cursor = max(0, min(self.cursor, len(self.arranged) - 1))

    # Moving

    def on_resize(self) -> None:
        self.show_cursor()

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.arranged)

    def cursor_moved(self) -> None:
        """Keep the cursor on this row from now on."""
        row = self.arranged[self.cursor]
        self._cursor_key = self.key(row)
        self.repaint()
        self.post_message(self.Moved(self, row))

    def action_row(self, step: int) -> None:
        """Move the cursor by some rows; past the end goes to the next table of the pane."""
        if 0 <= self.cursor + step < self.count:
            super().action_row(step)
        else:
            self.post_message(self.Passed(self, step))

    def action_first(self) -> None:
        """Move the cursor to the top, where it stays whichever row is there."""
        self.move(0)
        self._cursor_key = None

    def action_open(self) -> None:
        """Open the row under the cursor; if there is none, show why."""
        if self.selected is not None:
            self.post_message(self.Opened(self, self.selected))
        else:
            self.notify(f"no row to open: {self.why_empty or 'the table is empty'}", markup=False)

    def action_sort(self) -> None:
        """Sort by the next column, and scroll to it; after the last one use the default order."""
        titles: list[str | None] = [column.title for column in self._column_layout.order if column.sort]
        titles.append(None)
        column = self.listed.column
        now = column.title if column and column.title in titles else None
        wanted = titles[(titles.index(now) + 1) % len(titles)]
        if wanted is None:
            self._skip = 0
        self.sort_by(wanted)

    def action_reverse(self) -> None:
        """Reverse the order."""
        column = self.listed.column
        self.sort_by(column.title if column else None, not self.listed.reverse)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action has an effect: sorting needs a sortable column."""
        return any(column.sort for column in self.columns) if action in ("sort", "reverse") else True

    def action_columns(self, step: int) -> None:
        """Scroll the columns."""
        self._skip = min(max(self._skip + step, 0), self._column_layout.max_skip)
        self.repaint()
        self.post_message(self.Arranged(self))

    def on_mouse_scroll_left(self, event: MouseScrollLeft) -> None:
        event.stop()
        self.action_columns(-1)

    def on_mouse_scroll_right(self, event: MouseScrollRight) -> None:
        event.stop()
        self.action_columns(1)

    def on_click(self, event: Click) -> None:
        """Sort by a title, scroll by a mark, move the cursor to a row, or open the cursor's row."""
        offset = event.get_content_offset(self)
        if offset is None:
            # A click on the frame or the scrollbar.
            return
        if self.heading and offset.y == 0:
            self._click_title(offset.x)
            return
        index = offset.y - self.heading + self.scroll_offset.y
        if index >= len(self.arranged):
            return
        if index == self.cursor and self._cursor_key is not None:
            self.action_open()
        else:
            self.move(index)

    def _click_title(self, x: int) -> None:
        left = self._gutter
        for column, width in self._column_layout.view(self._skip):
            if left <= x < left + width:
                if isinstance(column, HiddenMark):
                    self.action_columns(column.step)
                elif column.sort:
                    chosen = self.listed.is_sorted_by(column)
                    self.sort_by(column.title, not self.listed.reverse if chosen else None)
                return
            left += width + GAP
