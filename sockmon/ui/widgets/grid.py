"""The drawing of a table: only visible rows are formatted, and only changed ones are sent."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, NamedTuple

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip

from sockmon.ui.filtering.filter import Filterable
from sockmon.ui.widgets.column import Cells, Column, Row, row_strip, signature
from sockmon.ui.widgets.column_layout import ColumnLayout, ColumnWidths, HiddenMark
from sockmon.ui.widgets.cursor_list import CursorList
from sockmon.ui.widgets.rows import Rows

CURSOR = "▸"
UNKNOWN_WIDTH = 10_000
"""Width until the first layout: all columns fit."""


class _Inputs(NamedTuple):
    """What all lines depend on besides the rows; if it changes, all are drawn again."""

    size: Size
    top: int
    """Index of the first visible row."""
    skip: int
    focused: bool
    heading: bool
    theme: str


class _Line(NamedTuple):
    """A line as it was drawn last."""

    made_of: object
    """What its cells depend on; None if that is not known."""
    looks: object
    """Its text and styles."""
    strip: Strip


class Grid(CursorList, Generic[Row]):
    """Rows under a fixed heading; a line is kept until its content changes."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor"}

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Hashable],
        *,
        id: str | None = None,
        empty: str = "",
        classes: str | None = None,
        columns_for: Callable[[int], Sequence[Column[Row]]] | None = None,
        row_span: Callable[[Row], tuple[tuple[str, ...], Text] | None] | None = None,
        flex: int = 10,
        default_order: str = "",
        filterable: Filterable | None = None,
        shown: Callable[[Row], object] | None = None,
    ) -> None:
        """`columns_for` returns the columns for a width; `row_span` may return one text for a row, which replaces
        its cells from the first of some columns on; `flex` is the minimum width of the column that takes the rest;
        `default_order` names the order in which rows come; `filterable` is what the filter knows about them;
        `shown` returns all that the cells of a row depend on: a row is formatted again only if that differs."""
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self._columns_for = columns_for
        self._row_span = row_span
        self._flex = flex
        self.listed: Rows[Row] = Rows(filterable, default_order)
        self.key = key
        self.empty = empty
        self.arranged: Sequence[Row] = ()
        """The rows that are shown, filtered and sorted."""
        self.cursor = 0
        self._cursor_key: Hashable | None = None
        self._shown = shown
        self.formatted = 0
        """How many lines were formatted so far."""
        self._skip = 0
        """Number of columns scrolled away to the left."""
        self._column_layout = ColumnLayout(self.columns, UNKNOWN_WIDTH, flex)
        self._visible: ColumnWidths[Row] = self._column_layout.view(0)
        self._lines: list[Strip] = []
        self._drawn_for: _Inputs | None = None
        self._drawn: list[_Line] = []
        """The visible lines."""
        self._base_style = Style()

    @property
    def rows(self) -> Sequence[Row]:
        """All rows, in the order in which they came."""
        return self.listed.all

    @property
    def why_empty(self) -> str:
        """Why the table is empty."""
        if not self.rows or not self.listed.filtered:
            return self.empty
        unknown = self.listed.owner_unknown
        return f"no known match: owner of {unknown:,} unknown" if unknown else "nothing matches the filter"

    def choose_columns_again(self) -> None:
        """Ask `columns_for` again: what it depends on besides the width has changed."""
        self._drawn_for = None

    def show_columns(self, columns_for: Callable[[int], Sequence[Column[Row]]]) -> None:
        """Show other columns, and sort by none that is gone."""
        self._columns_for = columns_for
        self.columns = tuple(columns_for(self._columns_width))
        if self.listed.column and not any(map(self.listed.is_sorted_by, self.columns)):
            self.listed.sort_by(None, None)
        # The columns are chosen with the next drawing.
        self._drawn_for = None

    def _resize_canvas(self) -> None:
        height = max(len(self.arranged), 1) + self.heading
        if self.virtual_size.height != height:
            self.virtual_size = Size(0, height)

    def repaint(self) -> None:
        """Draw the visible lines again, and send only those that differ."""
        before, after = self._lines, self._draw()
        self._lines = after
        if len(before) != len(after):
            self.refresh()
            return
        width = self._drawable_size.width
        changed = [Region(0, y, width, 1) for y, strip in enumerate(after) if strip is not before[y]]
        if changed:
            self.refresh(*changed)

    def _draw_inputs(self) -> _Inputs:
        return _Inputs(
            self._drawable_size,
            self.scroll_offset.y,
            self._skip,
            self.has_focus,
            self.heading,
            self.app.theme,
        )

    def render_line(self, y: int) -> Strip:
        """Return one visible line; line 0 is the heading."""
        if self._drawn_for != self._draw_inputs():
            self._lines = self._draw()
        return self._lines[y] if y < len(self._lines) else Strip.blank(self._drawable_size.width, self._base_style)

    def _draw(self) -> list[Strip]:
        """Return the visible lines; a line whose content is unchanged is the same object as before."""
        inputs = self._draw_inputs()
        if inputs != self._drawn_for:
            self._drawn = []
            self._drawn_for = inputs
            # Textual needs as long for it as for a row, and it depends on theme and focus alone.
            self._base_style = self.rich_style
            self._choose_columns()
        before, self._drawn = self._drawn, []
        for y in range(inputs.size.height):
            index = None if y < inputs.heading else y - inputs.heading + inputs.top
            made_of = self._made_of(index)
            old = before[y] if before else None
            unchanged = old is not None and made_of is not None and old.made_of == made_of
            self._drawn.append(old if old is not None and unchanged else self._format(index, made_of, old))
        return [line.strip for line in self._drawn]

    def _format(self, index: int | None, made_of: object, old: _Line | None) -> _Line:
        """Return the line of a row, or of the titles; its strip is that of the old line if that looks the same."""
        self.formatted += 1
        cells, style = self._line_content(index)
        looks = (style, *(signature(cell) for cell in cells))
        same = old is not None and old.looks == looks
        return _Line(made_of, looks, old.strip if old is not None and same else self._strip(cells, style))

    def _strip(self, cells: Cells, style: Style) -> Strip:
        widths = [(column.align, width) for column, width in self._visible]
        mark = None
        if self._gutter:
            mark = Segment(CURSOR if style is not self._base_style else " ", style)
        return row_strip(self.app.console, cells, widths, self._drawable_size.width, style, mark)

    @property
    def _gutter(self) -> int:
        """Cells in front of the first column, for a cursor that cannot be a colour."""
        return int(self.app.native_ansi_color)

    def _choose_columns(self) -> None:
        width = self._columns_width
        if self._columns_for:
            self.columns = tuple(self._columns_for(width))
            # The order stays, also if this width has no column for it.
            same = filter(self.listed.is_sorted_by, self.columns)
            self.listed.column = next(same, self.listed.column)
        self._column_layout = ColumnLayout(self.columns, width, self._flex, self.heading)
        self._skip = min(self._skip, self._column_layout.max_skip)
        self._visible = self._column_layout.view(self._skip)

    @property
    def _columns_width(self) -> int:
        """The cells that the columns share."""
        return self._drawable_size.width - self._gutter

    def shows(self, title: str) -> bool:
        """Return whether the column of that title is visible."""
        return any(column.title == title for column, _ in self._visible)

    def _made_of(self, index: int | None) -> object:
        """Return what the line of a row, or of the titles, depends on besides `_Inputs`; None if that is not
        known."""
        if index is None:
            return bool(self.arranged), self.listed.column and self.listed.column.title, self.listed.arrow
        if index >= len(self.arranged):
            return self.why_empty if index == 0 else ""
        return self._shown and (self._shown(self.arranged[index]), index == self.cursor)

    def _line_content(self, index: int | None) -> tuple[Cells, Style]:
        """Return the cells of a line and its style."""
        if index is None:
            return self._titles() if self.arranged else (), self._base_style
        if index < len(self.arranged):
            return self._cells(self.arranged[index]), self._row_style(index)
        return (Text(self.why_empty, style="muted"),) if index == 0 else (), self._base_style

    def _cells(self, row: Row) -> Cells:
        titles, text = (self._row_span(row) if self._row_span else None) or ((), None)
        cells: list[Text | str] = []
        for column, width in self._visible:
            if text is not None and column.title in titles:
                return (*cells, text)
            cells.append(column.cell(row, width))
        return tuple(cells)

    def _row_style(self, index: int) -> Style:
        if index != self.cursor or not self.has_focus:
            return self._base_style
        if self.app.native_ansi_color:
            # Sixteen colours or none: reversed colours would turn a full bar into a gap.
            return self._base_style + Style(bold=True, underline=True)
        return self._base_style + Style(bgcolor=self.get_component_rich_style("table--cursor").bgcolor)

    def _titles(self) -> Cells:
        cells: list[Text | str] = []
        for column, width in self._visible:
            chosen = self.listed.is_sorted_by(column)
            title = column.title[: width - 1] + self.listed.arrow if chosen else column.title
            style = "accent" if isinstance(column, HiddenMark) else "column-sorted" if chosen else "column"
            cells.append(Text(title, style))
        return tuple(cells)

    @property
    def hidden_columns(self) -> str:
        """`‹2 +5›`: how many columns are hidden on each side, for a table without titles."""
        before, behind = self._column_layout.hidden(self._skip)
        return " ".join(part for part in (f"‹{before}" * bool(before), f"+{behind}›" * bool(behind)) if part)

    @property
    def _drawable_size(self) -> Size:
        """The size without the scrollbar."""
        width, height = self.size
        return Size(max(width - self.scrollbar_gutter.width, 0), height)

    def notify_style_update(self) -> None:
        """Draw all lines again: the colours of a new theme come after its name, by which `_Inputs` knows it."""
        super().notify_style_update()
        self._drawn_for = None

    def watch_heading(self) -> None:
        self._resize_canvas()
        self.repaint()

    def on_focus(self) -> None:
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()
