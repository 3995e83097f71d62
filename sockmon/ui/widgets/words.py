"""Words in a line or a few, sent to the terminal only when they change."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.widgets import Static


class Words(Static):
    """A Static that takes only Text, never lays the screen out again, and skips what it already says."""

    DEFAULT_CSS = "Words { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes, markup=False)
        self._said: Any = None

    def show(self, text: Text) -> None:
        """Say `text`, unless it is said already in this theme."""
        says = (text.plain, tuple(text.spans), self.app.theme)
        if says != self._said:
            self._said = says
            self.update(text, layout=False)


def spread(left: Text, right: Text, width: int) -> Text:
    """`left` and `right` at the two ends of a line; where both do not fit the left one ends in an ellipsis."""
    room = max(width - right.cell_len - 1, 0)
    left = left.copy()
    left.truncate(room, overflow="ellipsis")
    gap = max(width - left.cell_len - right.cell_len, 0)
    return Text.assemble(left, " " * gap, right)
