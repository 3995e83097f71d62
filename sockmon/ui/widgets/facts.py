"""Labelled facts: a narrow column of names, and beside it what is known, wrapped under its own edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from sockmon.ui.widgets.lines import repaint, strip


class Fact(NamedTuple):
    """A name and what is known; several facts in a row without a name belong to the one above."""

    name: str
    value: Text
    hang: int = 0
    """Cells that lines after the first are indented by, as in a numbered list."""


def lay_out(facts: Sequence[Fact], gutter: int, width: int, console: Console) -> list[Text]:
    """`facts` as lines of at most `width` cells, values beginning at cell `gutter`."""
    lines: list[Text] = []
    for fact in facts:
        label = Text(fact.name[: gutter - 1].ljust(gutter), style="muted")
        for index, part in enumerate(_wrapped(fact, max(8, width - gutter), console)):
            line = Text.assemble(label if index == 0 else " " * gutter, part)
            line.truncate(width, overflow="ellipsis")
            lines.append(line)
    return lines


def _wrapped(fact: Fact, width: int, console: Console) -> list[Text]:
    whole = fact.value.copy()
    whole.no_wrap, whole.overflow = False, "fold"
    first, *rest = whole.wrap(console, width) or [Text()]
    if not rest or not fact.hang:
        return [first, *rest]
    # Text.wrap knows no hanging indent: what did not fit the first line is wrapped again, narrower.
    remainder = whole[len(first.plain) :]
    remainder = remainder[len(remainder.plain) - len(remainder.plain.lstrip()) :]
    indented = remainder.wrap(console, max(8, width - fact.hang))
    return [first, *(Text.assemble(" " * fact.hang, line) for line in indented)]


class Facts(Widget):
    """The facts as a widget as high as they need; only lines that changed are drawn again."""

    DEFAULT_CSS = "Facts { height: auto; }"

    def __init__(self, gutter: int = 0, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._gutter = gutter
        self._facts: tuple[Fact, ...] = ()
        self._lines: list[Text] = []

    def show(self, *facts: Fact) -> None:
        """New facts in place of the old ones."""
        self._facts = facts
        self._draw()

    def _draw(self) -> None:
        before, self._lines = self._lines, self._lay_out(self.size.width)
        self.refresh(layout=True) if len(before) != len(self._lines) else repaint(self, before, self._lines)

    def _lay_out(self, width: int) -> list[Text]:
        return lay_out(self._facts, self._gutter, width, self.app.console) if width else []

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lay_out(width))

    def on_resize(self) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        return strip(self._lines[y] if y < len(self._lines) else Text(), self)
