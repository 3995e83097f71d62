"""Columns: what they show of a row, and how cells become a line; `column_layout` chooses which are visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

Row = TypeVar("Row")
Align = Literal["left", "right"]
Cells = tuple["Text | str", ...]
GAP = 1


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: its width, its text, and the value that it sorts on."""

    title: str
    width: int
    """Cells; 0 takes the remaining width (one such column a table)."""
    text: Callable[[Row], Text | str]
    """A str is plain text, never markup."""
    sort: Callable[[Row], Any] | None = None
    """The value to sort on; None if not sortable. Rows whose value is None come last in either order."""
    align: Literal["left", "right"] = "left"
    keep_when_narrow: bool = True
    """False: dropped first in a table that is too narrow, from the right."""
    largest_first: bool | None = None
    """Whether sorting begins with the largest; None: as for numbers or for words, by `align`."""
    cut: Literal["end", "middle"] = "end"
    """Where text that is too long is cut: in the middle if its end identifies it."""
    pin: bool = False
    """True: stays visible while the others are scrolled, because it identifies the row; without a pinned column
    the one that takes the remaining width stays."""
    scrolled_only: bool = False
    """True: not in the first view, however wide the table; scrolling shows it."""
    text_for_width: Callable[[Row, int], Text | str] | None = None
    """Replaces `text` if the text depends on the width of the cell."""

    @property
    def sorts_descending(self) -> bool:
        """Whether sorting by this column begins with the largest."""
        return self.align == "right" if self.largest_first is None else self.largest_first

    def cell(self, row: Row, width: int) -> Text | str:
        """Return what it shows of a row in `width` cells."""
        text = self.text_for_width(row, width) if self.text_for_width else self.text(row)
        if self.cut == "middle":
            return cut_middle(Text(text) if isinstance(text, str) else text, width)
        return text


def signature(cell: Text | str) -> Any:
    """Return what identifies the content of a cell, for comparison."""
    return cell if isinstance(cell, str) else (cell.plain, cell.style, tuple(cell.spans))


def cut_middle(text: Text, width: int) -> Text:
    """Return `text` in at most `width` cells, with both ends kept: `127.0.0.1 → 12…0.1:5432`."""
    if text.cell_len <= width or width < 3:
        return text
    tail = (width - 1) // 2
    begin = next(index for index in range(len(text.plain)) if cell_len(text.plain[index:]) <= tail)
    head = text.copy()
    head.truncate(width - 1 - tail, overflow="crop")
    return Text.assemble(head, ("…", "faint"), text[begin:])


def cut_front(text: Text, width: int) -> Text:
    """Return `text` in at most `width` cells, with its end kept: `…0.0.9:5432`."""
    if text.cell_len <= width or width < 2:
        return text
    begin = next(index for index in range(len(text.plain)) if cell_len(text.plain[index:]) < width)
    return Text.assemble(("…", "faint"), text[begin:])


def row_strip(
    console: Console,
    cells: Cells,
    widths: Sequence[tuple[Align, int]],
    width: int,
    style: Style,
    mark: Segment | None = None,
) -> Strip:
    """Return the cells next to each other on a line of `width`, behind a `mark`; if there are fewer cells than
    columns, the last one takes the rest."""
    segments: list[Segment] = [mark] if mark else []
    used = mark.cell_length if mark else 0
    for index, (cell, (align, room)) in enumerate(zip(cells, widths, strict=False)):
        if index == len(cells) - 1 < len(widths) - 1:
            align, room = "left", max(width - used, 0)
        segments.extend(_segments(console, cell, room, align, style))
        segments.append(Segment(" " * GAP, style))
        used += room + GAP
    return Strip(segments).adjust_cell_length(width, style)


def _segments(console: Console, cell: Text | str, width: int, align: str, style: Style) -> list[Segment]:
    text = Text(cell) if isinstance(cell, str) else cell.copy()
    text.truncate(width, overflow="ellipsis")
    text.end = ""
    # Text.render leaves out the style of the whole text if it has no spans.
    base = style + console.get_style(text.style, default=Style.null())
    segments = [Segment(part, base + own if own else base) for part, own, _ in text.render(console)]
    padding = Segment(" " * (width - text.cell_len), style)
    return [padding, *segments] if align == "right" else [*segments, padding]
