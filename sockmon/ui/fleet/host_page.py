"""The page of one host, by what the fleet knows of it: for a host that cannot be opened, or without opening it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Footer

from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.fleet import cells
from sockmon.ui.fleet.cells import HostRow
from sockmon.ui.fleet.context import fleet_context
from sockmon.ui.fleet.host_panel import HostPanel
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table

OPENS = "Open the live screen of the host, over ssh"


class HostPage(DetailScreen):
    """The panel of a host on a page of its own; each answer updates it."""

    AUTO_FOCUS = "#limits"
    HELP_FIRST: ClassVar[Mapping[str, str]] = {"open": OPENS, "back": "Return to the hosts"}

    def __init__(self, row: HostRow, trend_seconds: float, not_opened: str = "", how: str = "") -> None:
        """`not_opened`: why its live screen did not open; `how`: the command that would show it."""
        super().__init__()
        self._row = row
        self._trend_seconds = trend_seconds
        self._not_opened = not_opened
        self._how = how

    @property
    def name_of_host(self) -> str:
        """The host that the page is about."""
        return self._row.host.name

    def compose(self) -> ComposeResult:
        self._fit_to_terminal()
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        yield HostPanel(self._trend_seconds, "Limits")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.show_row(self._row)

    def show_row(self, row: HostRow) -> None:
        """Draw what is known now."""
        self._row = row
        host = row.host
        if not self.is_mounted:
            return
        self.set_title(Text.assemble((host.name, "heading"), " · ", cells.state_cell(host)))
        self.query_one(HostPanel).show(row, *self._notes())

    def _notes(self) -> Iterator[Labelled]:
        if self._not_opened:
            yield Labelled("Not open", Text(self._not_opened, "sev-warning"))
        if self._how:
            yield Labelled("Live", Text(self._how, "muted"))

    def opens(self, table: Table[Any], row: Any) -> None:
        """Open the live screen, which has the page of a limit."""
        fleet_context(self).open_host(self._row)

    def say_not_opened(self, reason: str) -> None:
        """Show why its live screen did not open."""
        self._not_opened = reason
        self.show_row(self._row)
