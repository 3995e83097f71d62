"""A list that is walked by keys: a cursor among its rows, kept in sight."""

from __future__ import annotations

from textual.reactive import reactive
from textual.scroll_view import ScrollView


class Walked(ScrollView, can_focus=True):
    """Knows where the cursor is, not what the rows are."""

    heading: reactive[bool] = reactive(True)
    """Whether the line of column titles is shown."""
    cursor = 0
    """Place of the cursor's row."""

    @property
    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def moved(self) -> None:
        """The cursor went to another row."""
        raise NotImplementedError

    def move(self, index: int) -> None:
        """Put the cursor on a row, by its place, and scroll it into sight."""
        if self.count:
            self.cursor = max(0, min(index, self.count - 1))
            self.show_cursor()
            self.moved()

    def show_cursor(self) -> None:
        """Scroll as little as it takes to have the cursor in sight."""
        space = self.size.height - self.heading
        top = self.scroll_offset.y
        if space > 0 and not top <= self.cursor < top + space:
            wanted = self.cursor if self.cursor < top else self.cursor - space + 1
            self.scroll_to(y=wanted, animate=False, immediate=True)

    def action_row(self, step: int) -> None:
        """Move the cursor by some rows."""
        self.move(self.cursor + step)

    def action_leaf(self, pages: int) -> None:
        """Move the cursor by some pages."""
        self.move(self.cursor + pages * max(self.size.height - self.heading - 1, 1))

    def action_last(self) -> None:
        """Move the cursor to the last row."""
        self.move(self.count - 1)
