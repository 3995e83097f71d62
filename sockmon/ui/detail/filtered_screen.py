"""The base of pages whose tables a filter line narrows, and which say what could not be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input

from sockmon.model.snapshot import Missing
from sockmon.ui import keys
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table


class FilteredScreen(DetailScreen):
    """Has a filter line above the footer, and `#missing` where its parts put it."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.binding("filter")]

    def __init__(self) -> None:
        super().__init__()
        self._focused_before_filter: Widget | None = None
        """The widget that had the focus before the filter line."""

    def below(self) -> Iterable[Widget]:
        yield FilterLine()

    @property
    def main_table(self) -> Table[Any]:
        """The table that gets the focus if none had it before the filter line."""
        raise NotImplementedError

    def show_missing(self, reasons: Iterable[Missing], *more: str) -> None:
        """Show what could not be read, and why; nothing if all could."""
        lines = [*(f"{item.reader}: {item.reason}" for item in reasons), *more]
        missing = self.query_one("#missing", LabelledList)
        missing.display = bool(lines)
        missing.show(*(Labelled("Not read", Text(line, "sev-unknown")) for line in lines))

    def action_filter(self) -> None:
        """Open the filter line."""
        if not isinstance(self.focused, Input):
            self._focused_before_filter = self.focused
        self.query_one(FilterLine).open()

    def back(self) -> bool:
        """Clear the filter and return True; False if there is none."""
        line = self.query_one(FilterLine)
        if line.shown:
            line.clear()
            return True
        return False

    @on(FilterLine.Left)
    def _filter_left(self) -> None:
        before = self._focused_before_filter
        (before if isinstance(before, Table) else self.main_table).focus()
