"""Keeps what the terminal shows, cell by cell, so that only changed cells are sent.

Textual sends a whole row when one number in it changes, with a colour for each part: 4,900 bytes a second for a
quiet host at 160x50.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Size
from textual.strip import Strip

MAX_UNCHANGED_RUN = 5
"""Unchanged cells between two changed ones that are sent again: to skip them takes as many bytes."""


class CellStyle(NamedTuple):
    """How a cell is drawn, as SGR codes."""

    attributes: str
    colour: str
    background: str


Cell = tuple[str, CellStyle]


class RenderedFrame(CompositorUpdate):
    """A frame that is rendered already."""

    def __init__(self, text: str) -> None:
        self.text = text

    def render_segments(self, console: Console) -> str:
        """Return the escape sequences."""
        return self.text


class Painter:
    """Turns updates of the compositor into escape sequences for the cells that changed."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, Cell]] = {}
        self._styles: dict[Style | None, CellStyle] = {}
        self._system: ColorSystem | None = None
        self._size = Size()

    def forget(self) -> None:
        """Send every cell with the next frame."""
        self._rows.clear()

    def paint(self, update: LayoutUpdate | ChopsUpdate, console: Console, size: Size) -> str:
        """Return the sequences for the cells of `update` that differ from the last frame."""
        if size != self._size:
            # Terminals differ in what a resize does to their lines.
            self._size = size
            self.forget()
        system = console._color_system or ColorSystem.TRUECOLOR
        if system != self._system:
            self._system = system
            self._styles.clear()
        parts: list[str] = []
        current: CellStyle | None = None
        for y, x, strip in _strips(update):
            row = self._rows.setdefault(y, {})
            cells = list(self._cells(strip))
            for start, end in _changed(row, x, cells):
                parts.append(f"\x1b[{y + 1};{x + start + 1}H")
                for text, wanted in cells[start:end]:
                    if wanted != current:
                        parts.append(_switch(current, wanted))
                        current = wanted
                    parts.append(text)
            row.update(enumerate(cells, x))
        return "".join(parts) + ("\x1b[0m" if parts else "")

    def _cells(self, strip: Strip) -> Iterator[Cell]:
        """Yield the cells of a strip; one that a wide character also fills is empty."""
        before: Cell | None = None
        for text, style, control in strip:
            if control:
                continue
            cell_style = self._style_of(style)
            for char in text:
                width = cell_len(char)
                if width == 0:
                    # It is drawn on the previous cell; a row with such cells is sent as a whole.
                    if before is not None:
                        before = (before[0] + char, before[1])
                    continue
                if before is not None:
                    yield before
                    if _is_wide(before):
                        yield "", before[1]
                before = (char, cell_style)
        if before is not None:
            yield before
            if _is_wide(before):
                yield "", before[1]

    def _style_of(self, style: Style | None) -> CellStyle:
        found = self._styles.get(style)
        if found is None:
            found = self._styles[style] = _cell_style(style, self._system or ColorSystem.TRUECOLOR)
        return found


def _strips(update: LayoutUpdate | ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield row, column and content of each part of an update, as its own `render_segments` draws them."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                yield y, x, strip
                x += strip.cell_length
        return
    for y, x1, x2 in update.spans:
        for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if chop is not None and x <= x2 and end > x1:
                yield y, x, chop if x2 > x >= x1 and end <= x2 else chop.crop(0, min(end, x2) - x)


def _cell_style(style: Style | None, system: ColorSystem) -> CellStyle:
    if style is None:
        return CellStyle("", "", "")
    plain = Strip.render_ansi(Style.chain(style, Style(color="default", bgcolor="default")), system)
    attributes = plain.removesuffix("39;49").removesuffix(";")
    colour = style.color.downgrade(system).get_ansi_codes() if style.color else ()
    background = style.bgcolor.downgrade(system).get_ansi_codes(False) if style.bgcolor else ()
    return CellStyle(attributes, ";".join(colour), ";".join(background))


def _switch(old: CellStyle | None, new: CellStyle) -> str:
    """Return the sequence that switches from one style to another."""
    bare = old is None or old.attributes != new.attributes
    if old is None or bare or (old.colour and not new.colour) or (old.background and not new.background):
        return f"\x1b[{';'.join(('0', *filter(None, new)))}m"
    codes = [code for was, code in ((old.colour, new.colour), (old.background, new.background)) if was != code]
    return f"\x1b[{';'.join(codes)}m"


def _is_wide(cell: Cell) -> bool:
    return cell_len(cell[0][:1]) == 2


def _is_simple(cells: Iterable[Cell]) -> bool:
    """Return whether each cell is one character; terminals disagree about the width of others."""
    return all(len(text) == 1 and (text.isascii() or cell_len(text) == 1) for text, _ in cells)


def _changed(row: dict[int, Cell], x: int, cells: list[Cell]) -> list[tuple[int, int]]:
    """Return the ranges of `cells`, which begin in column `x`, that `row` does not show."""
    differ = [at for at, cell in enumerate(cells) if row.get(x + at) != cell]
    if not differ:
        return []
    shown = [row[x + at] for at in range(len(cells)) if x + at in row]
    if not _is_simple(cells) or not _is_simple(shown):
        return [(0, len(cells))]
    ranges = [(differ[0], differ[0] + 1)]
    for at in differ[1:]:
        start, end = ranges[-1]
        if at - end <= MAX_UNCHANGED_RUN:
            ranges[-1] = (start, at + 1)
        else:
            ranges.append((at, at + 1))
    return ranges
