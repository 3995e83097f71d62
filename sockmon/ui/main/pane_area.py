"""The panes below the board: all of them, of which one is current."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from sockmon.model.detail import Detail
from sockmon.ui.main.panes import PANES, Pane, View
from sockmon.ui.main.panes.processes import ProcessesPane
from sockmon.ui.widgets.table import Table


class PaneArea(Vertical):
    """The panes in their rows; the classes of the screen say which of them are visible."""

    def __init__(self) -> None:
        super().__init__(id="panes")
        self._panes = {pane.NAME: pane() for pane in PANES}
        self.current = ProcessesPane.NAME

    def compose(self) -> ComposeResult:
        sockets, processes, ports, conntrack, namespaces = self._panes.values()
        # Now, because a class that is set later styles a widget once more.
        processes.add_class("-current", update=False)
        yield Horizontal(sockets, processes, classes="row -current")
        yield Horizontal(ports, conntrack, classes="row", id="lower")
        yield Horizontal(namespaces, classes="row", id="namespaces-row")

    async def make_rest(self) -> None:
        """Make what the panes show only after a key; called after the first board."""
        for pane in self._panes.values():
            await pane.make_rest()

    @property
    def current_pane(self) -> Pane:
        """The pane that is current: the only one if there is room for one."""
        return self._panes[self.current]

    @property
    def last_tables(self) -> Iterator[Table[Any]]:
        """The last table of each pane; it is mounted after the others."""
        return (pane.tables[-1] for pane in self._panes.values())

    def mark(self, name: str) -> None:
        """Make a pane the current one."""
        self.current = name
        for pane in self._panes.values():
            pane.set_class(name == pane.NAME, "-current")
        for row in self.query(".row"):
            row.set_class(bool(row.query(".pane.-current")), "-current")

    def show(self, view: View) -> None:
        """Draw a View on the panes that are visible, and on the current one."""
        for pane in self._panes.values():
            if pane.region or self.current == pane.NAME:
                pane.name_place(pane.place(view))
                pane.show(view)

    def answer(self, detail: Detail) -> None:
        """Pass an answer of the agent to the panes."""
        for pane in self._panes.values():
            pane.answer(detail)


def pane_of(widget: Widget) -> Pane | None:
    """Return the pane that a widget is part of; None if it is part of none."""
    return next((node for node in widget.ancestors if isinstance(node, Pane)), None)
