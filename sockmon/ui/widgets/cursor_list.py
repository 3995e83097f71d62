"""A list with a cursor that keys move, and that stays visible."""

from __future__ import annotations

from textual.reactive import reactive
from textual.scroll_view import ScrollView


class CursorList(ScrollView, can_focus=True):
    """Moves the cursor; a subclass knows the rows."""

    heading: reactive[bool] = reactive(True)
    """Whether the line of column titles is shown."""
    cursor = 0
    """Index of the cursor's row."""

    @property
    def count(self) -> int:
        """Number of rows."""
        raise NotImplementedError

    def cursor_moved(self) -> None:
        """React to a move of the cursor."""
        raise NotImplementedError

    def move(self, index: int) -> None:
        """Put the cursor on the row of an index, and scroll to it."""
        if self.count:
            self.cursor = max(0, min(index, self.count - 1))
            self.show_cursor()
            self.cursor_moved()

    def show_cursor(self) -> None:
        """Scroll as little as needed to show the cursor."""
        space = self.size.height - self.heading
        top = self.scroll_offset.y
        if space > 0 and not top <= self.cursor < top + space:
            wanted = self.cursor if self.cursor < top else self.cursor - space + 1
            self.scroll_to(y=wanted, animate=False, immediate=True)

    def action_row(self, step: int) -> None:
        """Move the cursor by some rows."""
        self.move(self.cursor + step)

    def action_page(self, pages: int) -> None:
        """Move the cursor by some pages."""
        self.move(self.cursor + pages * max(self.size.height - self.heading - 1, 1))

    def action_last(self) -> None:
        """Move the cursor to the last row."""
        self.move(self.count - 1)
