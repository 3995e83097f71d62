"""A table that formats only the rows one sees, and redraws only the rows that changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from sockmon.ui import keys
from sockmon.ui.widgets.column import GAP, Cells, Column, Fitted, Row, Shown, cut_middle, fit, signature, strip
from sockmon.ui.widgets.walked import Walked

__all__ = ["Column", "Table"]

UP, DOWN = "▴", "▾"
CURSOR = "▸"


class Table(Walked, Generic[Row]):
    """Rows under a fixed heading; the cursor stays on its row, by key, however the rows move."""

    DEFAULT_CSS = """
    Table {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-color: $pane-border;
        scrollbar-color-hover: $pane-focus;
        scrollbar-color-active: $pane-focus;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
    }
    Table > .table--cursor { background: $cursor-background; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("table"))

    @dataclass
    class Opened(Message):
        """A row was opened: Enter, or a click on the cursor's row."""

        table: Table[Any]
        row: Any

        @property
        def control(self) -> Table[Any]:
            return self.table

    @dataclass
    class Moved(Message):
        """The cursor went to another row."""

        table: Table[Any]
        row: Any

        @property
        def control(self) -> Table[Any]:
            return self.table

    @dataclass
    class Sorted(Message):
        """The rows have another order."""

        table: Table[Any]

        @property
        def control(self) -> Table[Any]:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Hashable],
        *,
        id: str | None = None,
        empty: str = "",
        classes: str | None = None,
        columns_for: Callable[[int], Sequence[Column[Row]]] | None = None,
        span: Callable[[Row], tuple[tuple[str, ...], Text] | None] | None = None,
        flex: int = 10,
        given: str = "",
        opens: bool = True,
    ) -> None:
        """`columns_for` chooses other columns for a width; `span` may give a row one text from the first of some
        columns on; `flex` is the least width of the column that takes what is left; `given` says what the rows
        are sorted by as they come, `opens` whether Enter leads anywhere."""
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self._columns_for = columns_for
        self._span = span
        self._flex = flex
        self._given = given
        self._opens = opens
        self.key = key
        self.empty = empty
        self.rows: Sequence[Row] = ()
        self._order: Sequence[Row] = ()
        """The rows as shown, sorted."""
        self.cursor = 0
        self._cursor_key: Hashable | None = None
        self._column: Column[Row] | None = None
        self._reverse = False
        self._lines: list[Strip] = []
        self._drawn: Any = None
        """What the lines depend on beside the rows; when it changes all are drawn again."""
        self._strips: dict[Hashable, tuple[Any, Strip]] = {}
        self._ground = Style()

    # Data

    def show(self, rows: Sequence[Row]) -> None:
        """Take new rows, in their given order unless a column was chosen to sort by."""
        self.rows = rows
        self._order = self._sorted()
        self._find_cursor()
        self._resize_canvas()
        self._repaint()

    def sort_by(self, title: str | None, reverse: bool | None = None) -> None:
        """Sort by the column of that title (None: as given); numbers begin with the largest unless said."""
        self._column = next((column for column in self.columns if title and column.title == title), None)
        first = self._column.worst_first if self._column else False
        self._reverse = first if reverse is None else reverse
        self.show(self.rows)
        self.post_message(self.Sorted(self))

    @property
    def order(self) -> str:
        """What the rows are sorted by, and which way: `headroom ▾`; empty where there is no order to speak of."""
        if self._column is None:
            return f"{self._given} {DOWN if not self._reverse else UP}" if self._given else ""
        return f"{self._column.title} {DOWN if self._reverse else UP}"

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self._order[self.cursor] if self._order else None

    def _sorted(self) -> Sequence[Row]:
        if self._column is None or self._column.sort is None:
            return tuple(reversed(self.rows)) if self._reverse else self.rows
        value = self._column.sort
        known = [row for row in self.rows if value(row) is not None]
        known.sort(key=value, reverse=self._reverse)
        return (*known, *(row for row in self.rows if value(row) is None))

    def _find_cursor(self) -> None:
        """Follow the cursor's row; where it is gone stay at its place, and on top if it was never moved."""
        if self._cursor_key is not None:
            for index, row in enumerate(self._order):
                if self.key(row) == self._cursor_key:
                    self.cursor = index
                    return
        self.cursor = max(0, min(self.cursor, len(self._order) - 1))

    def _resize_canvas(self) -> None:
        height = max(len(self._order), 1) + self.heading
        if self.virtual_size.height != height:
            self.virtual_size = Size(0, height)

    # Drawing

    def _repaint(self) -> None:
        """Draw the visible lines anew and send only those that differ."""
        before, after = self._lines, self._draw()
        self._lines = after
        if len(before) != len(after):
            self.refresh()
            return
        width = self._room.width
        changed = [Region(0, y, width, 1) for y, strip in enumerate(after) if strip is not before[y]]
        if changed:
            self.refresh(*changed)

    def _depends(self) -> Any:
        return (
            self._room,
            self.scroll_offset.y,
            self.has_focus,
            self.heading,
            self.app.theme,
        )

    def render_line(self, y: int) -> Strip:
        """One line of the visible part; line 0 is the heading."""
        if self._drawn != self._depends():
            self._lines = self._draw()
        return self._lines[y] if y < len(self._lines) else Strip.blank(self._room.width, self._ground)

    def _draw(self) -> list[Strip]:
        """Strips of the visible lines; a line that says the same as before is the same object."""
        depends = self._depends()
        if depends != self._drawn:
            self._strips = {}
            self._drawn = depends
            # Working it out takes Textual as long as drawing a row: it is the theme's and the focus's alone.
            self._ground = self.rich_style
            self._choose_columns()
        fresh: dict[Hashable, tuple[Any, Strip]] = {}
        shown, hidden = self._fit()
        lines: list[Strip] = []
        for y in range(self.size.height):
            name, cells, style = self._content(y, shown, hidden)
            says = (style, *(signature(cell) for cell in cells))
            old = self._strips.get(name)
            line = old[1] if old and old[0] == says else self._strip(cells, shown, style)
            fresh[name] = (says, line)
            lines.append(line)
        self._strips = fresh
        return lines

    def _strip(self, cells: Cells, shown: Shown[Row], style: Style) -> Strip:
        widths = [(column.align, width) for column, width in shown]
        mark = None
        if self._gutter:
            mark = Segment(CURSOR if style is not self._ground else " ", style)
        return strip(self.app.console, cells, widths, self._room.width, style, mark)

    @property
    def _gutter(self) -> int:
        """Cells in front of the first column, where the cursor cannot be a colour."""
        return int(self.app.native_ansi_color)

    def _choose_columns(self) -> None:
        if self._columns_for:
            self.columns = tuple(self._columns_for(self._room.width - self._gutter))
            if self._column:
                self._column = next((each for each in self.columns if each.title == self._column.title), None)

    def _content(self, y: int, shown: Shown[Row], hidden: int) -> tuple[Hashable, Cells, Style]:
        """A line's name (equal names may share a strip from one draw to the next), cells and style."""
        if self.heading and y == 0:
            return "heading", self._titles(shown, hidden) if self._order else (), self._ground
        index = y - self.heading + self.scroll_offset.y
        if not self._order and index == 0:
            return "empty", (Text(self.empty, style="muted"),), self._ground
        if index >= len(self._order):
            return ("blank", y), (), self._ground
        return (y,), self._cells(self._order[index], shown), self._row_style(index)

    def _cells(self, row: Row, shown: Shown[Row]) -> Cells:
        titles, text = (self._span(row) if self._span else None) or ((), None)
        cells: list[Text | str] = []
        for column, width in shown:
            if text is not None and column.title in titles:
                return (*cells, text)
            cell = column.text(row)
            if column.cut == "middle":
                cell = cut_middle(Text(cell) if isinstance(cell, str) else cell, width)
            cells.append(cell)
        return tuple(cells)

    def _row_style(self, index: int) -> Style:
        if index != self.cursor or not self.has_focus:
            return self._ground
        if self.app.native_ansi_color:
            # Sixteen colours, or none: reversing would turn a full bar into a hole.
            return self._ground + Style(bold=True, underline=True)
        return self._ground + Style(bgcolor=self.get_component_rich_style("table--cursor").bgcolor)

    def _titles(self, shown: Shown[Row], hidden: int) -> Cells:
        arrow = DOWN if self._reverse else UP
        cells: list[Text | str] = []
        for column, width in shown:
            chosen = column is self._column
            title = column.title[: width - 1] + arrow if chosen else column.title
            cells.append(Text(title, style="column-sorted" if chosen else "column"))
        return (*cells, Text(f"+{hidden}", style="accent")) if hidden else tuple(cells)

    def _fit(self) -> Fitted[Row]:
        return fit(self.columns, self._room.width - self._gutter, self._flex)

    @property
    def _room(self) -> Size:
        """The size without the scrollbar."""
        width, height = self.size
        return Size(max(width - self.scrollbar_gutter.width, 0), height)

    # Moving

    def watch_heading(self) -> None:
        self._resize_canvas()
        self._repaint()

    def on_resize(self) -> None:
        self.show_cursor()

    def on_focus(self) -> None:
        self._repaint()

    def on_blur(self) -> None:
        self._repaint()

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._order)

    def moved(self) -> None:
        """Follow the cursor's row from now on."""
        row = self._order[self.cursor]
        self._cursor_key = self.key(row)
        self._repaint()
        self.post_message(self.Moved(self, row))

    def action_first(self) -> None:
        """Move the cursor to the top, where it stays whatever comes to stand there."""
        self.move(0)
        self._cursor_key = None

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.selected is not None:
            self.post_message(self.Opened(self, self.selected))

    def action_sort(self) -> None:
        """Sort by the next column in sight that can be sorted, after the last one as given again."""
        titles: list[str | None] = [column.title for column, _ in self._fit()[0] if column.sort]
        titles.append(None)
        now = self._column.title if self._column and self._column.title in titles else None
        self.sort_by(titles[(titles.index(now) + 1) % len(titles)])

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.sort_by(self._column.title if self._column else None, not self._reverse)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what leads somewhere is offered."""
        if action == "open":
            return self._opens
        return any(column.sort for column in self.columns) if action in ("sort", "reverse") else True

    def on_click(self, event: Click) -> None:
        """A title sorts, a row takes the cursor, the cursor's row opens."""
        if self.heading and event.y == 0:
            self._sort_at(event.x)
            return
        index = event.y - self.heading + self.scroll_offset.y
        if index >= len(self._order):
            return
        if index == self.cursor and self._cursor_key is not None:
            self.action_open()
        else:
            self.move(index)

    def _sort_at(self, x: int) -> None:
        left = self._gutter
        for column, width in self._fit()[0]:
            if left <= x < left + width and column.sort:
                self.sort_by(column.title, not self._reverse if column is self._column else None)
            left += width + GAP
