"""Columns: what they say of a row, which of them fit, and how cells become a strip."""

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
SIGN = 2
"""Cells of the sign that columns are hidden, as `+2`."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: how wide, what it says of a row, what it sorts on."""

    title: str
    width: int
    """Cells; 0 takes what is left (one such column a table)."""
    text: Callable[[Row], Text | str]
    """A str is put into a Text as it is, never parsed as markup."""
    sort: Callable[[Row], Any] | None = None
    """The raw value to sort on; None: not sortable. Rows for which it is None come last in either order."""
    align: Literal["left", "right"] = "left"
    narrow: bool = True
    """False: dropped first where the table is too narrow, from the right."""
    largest: bool | None = None
    """Whether sorting begins with the largest; None: numbers do, words do not."""
    cut: Literal["end", "middle"] = "end"
    """Where text that is too long loses cells: in the middle where its end says which one it is."""

    @property
    def worst_first(self) -> bool:
        """Whether sorting by this column begins with the largest."""
        return self.align == "right" if self.largest is None else self.largest


Shown = Sequence[tuple[Column[Row], int]]
"""The columns that fit, with their widths."""
Fitted = tuple[Shown[Row], int]
"""... and how many do not."""


def fit(columns: Sequence[Column[Row]], width: int, flex: int) -> Fitted[Row]:
    """Drop columns until the rest fits in `width` cells; the one that takes what is left gets at least `flex`."""
    shown = list(columns)

    def need() -> int:
        sign = GAP + SIGN if len(shown) < len(columns) else 0
        return sum(column.width or flex for column in shown) + GAP * (len(shown) - 1) + sign

    while len(shown) > 1 and need() > width:
        optional = [column for column in shown if not column.narrow]
        shown.remove(optional[-1] if optional else shown[-1])
    rest = max(width - need(), 0)
    sized = [(column, column.width or min(flex + rest, width)) for column in shown]
    return sized, len(columns) - len(shown)


def signature(cell: Text | str) -> Any:
    """What a cell says, to compare with what it said."""
    return cell if isinstance(cell, str) else (cell.plain, cell.style, tuple(cell.spans))


def cut_middle(text: Text, width: int) -> Text:
    """`text` in at most `width` cells, both its ends kept: `127.0.0.1 → 12…0.1:5432`."""
    if text.cell_len <= width or width < 3:
        return text
    tail = (width - 1) // 2
    begin = next(index for index in range(len(text.plain)) if cell_len(text.plain[index:]) <= tail)
    head = text.copy()
    head.truncate(width - 1 - tail, overflow="crop")
    return Text.assemble(head, ("…", "faint"), text[begin:])


def strip(
    console: Console,
    cells: Cells,
    widths: Sequence[tuple[Align, int]],
    width: int,
    style: Style,
    mark: Segment | None = None,
) -> Strip:
    """Cells side by side on a line of `width`, behind a `mark`; where there are too few, the last one takes the
    rest."""
    segments: list[Segment] = [mark] if mark else []
    used = mark.cell_length if mark else 0
    for index, cell in enumerate(cells):
        align, room = widths[index] if index < len(widths) else ("left", SIGN)
        if index == len(cells) - 1 < len(widths) - 1:
            align, room = "left", width - used
        segments.extend(_segments(console, cell, room, align, style))
        segments.append(Segment(" " * GAP, style))
        used += room + GAP
    return Strip(segments).adjust_cell_length(width, style)


def _segments(console: Console, cell: Text | str, width: int, align: str, style: Style) -> list[Segment]:
    text = Text(cell) if isinstance(cell, str) else cell.copy()
    text.truncate(width, overflow="ellipsis")
    text.end = ""
    # Text.render leaves out the style of the whole where there are no spans.
    base = style + console.get_style(text.style, default=Style.null())
    segments = [Segment(part, base + own if own else base) for part, own, _ in text.render(console)]
    padding = Segment(" " * (width - text.cell_len), style)
    return [padding, *segments] if align == "right" else [*segments, padding]
