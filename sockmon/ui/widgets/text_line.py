"""A line of text, sent to the terminal only when it changes."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.widgets import Static


class TextLine(Static):
    """A Static that takes only Text, never causes a layout, and skips what it shows already."""

    DEFAULT_CSS = "TextLine { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes, markup=False)
        self._shown: Any = None

    def show(self, text: Text) -> None:
        """Show `text`, unless it is shown already in this theme."""
        content = (text.plain, tuple(text.spans), self.app.theme)
        if content != self._shown:
            self._shown = content
            self.update(text, layout=False)


def justify(left: Text, right: Text, width: int) -> Text:
    """Return `left` and `right` at the ends of a line; if they do not fit, `left` ends in an ellipsis, and
    without room for it `right` does."""
    room = width - right.cell_len - 1
    left, right = left.copy() if room > 0 else Text(), right.copy()
    left.truncate(max(room, 0), overflow="ellipsis")
    right.truncate(max(width, 0), overflow="ellipsis")
    gap = max(width - left.cell_len - right.cell_len, 0)
    return Text.assemble(left, " " * gap, right)
