"""Labelled texts: a narrow column of labels, and next to it the texts, wrapped under their own edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from sockmon.ui.widgets.lines import line_strip, repaint


class Labelled(NamedTuple):
    """A label and its text; items without a label belong to the one above."""

    name: str
    value: Text
    indent: int = 0
    """Cells by which lines after the first are indented, as in a numbered list."""


def lay_out(items: Sequence[Labelled], gutter: int, width: int, console: Console) -> list[Text]:
    """Return `items` as lines of at most `width` cells; the texts begin at cell `gutter`."""
    lines: list[Text] = []
    for item in items:
        label = Text(item.name[: gutter - 1].ljust(gutter), style="muted")
        for index, part in enumerate(_wrapped(item, max(8, width - gutter), console)):
            line = Text.assemble(label if index == 0 else " " * gutter, part)
            line.truncate(width, overflow="ellipsis")
            lines.append(line)
    return lines


def _wrapped(item: Labelled, width: int, console: Console) -> list[Text]:
    whole = item.value.copy()
    whole.no_wrap, whole.overflow = False, "fold"
    first, *rest = whole.wrap(console, width) or [Text()]
    if not rest or not item.indent:
        return [first, *rest]
    # Text.wrap has no hanging indent: what did not fit the first line is wrapped again, narrower.
    remainder = whole[len(first.plain) :]
    remainder = remainder[len(remainder.plain) - len(remainder.plain.lstrip()) :]
    indented = remainder.wrap(console, max(8, width - item.indent))
    return [first, *(Text.assemble(" " * item.indent, line) for line in indented)]


class LabelledList(Widget):
    """Labelled texts as a widget with the height that they need; only changed lines are drawn again."""

    DEFAULT_CSS = "LabelledList { height: auto; }"

    def __init__(self, gutter: int = 0, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._gutter = gutter
        self._items: tuple[Labelled, ...] = ()
        self._lines: list[Text] = []

    def show(self, *items: Labelled) -> None:
        """Show these items in place of the old ones."""
        self._items = items
        self._draw()

    def _draw(self) -> None:
        before, self._lines = self._lines, self._lay_out(self.size.width)
        self.refresh(layout=True) if len(before) != len(self._lines) else repaint(self, before, self._lines)

    def _lay_out(self, width: int) -> list[Text]:
        return lay_out(self._items, self._gutter, width, self.app.console) if width else []

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lay_out(width))

    def on_resize(self) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        return line_strip(self._lines[y] if y < len(self._lines) else Text(), self)
