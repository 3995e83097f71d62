"""The names of the panes in one line, where only one of them is shown, and what the shown one notes."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Click
from textual.widgets import Static

from sockmon.ui.main.panes import PANES, Pane
from sockmon.ui.widgets.text_line import TextLine


class Tab(Static):
    """A pane's name; a click brings the pane."""

    def __init__(self, pane: type[Pane]) -> None:
        super().__init__(f"{pane.NUMBER} {pane.TITLE}", markup=False, id=f"tab-{pane.NAME}")
        self.pane = pane.NAME

    async def on_click(self, event: Click) -> None:
        await self.run_action(f"screen.pane({self.pane!r})")


class PaneTabs(Horizontal):
    """A tab for each pane, and the note at the right."""

    def __init__(self) -> None:
        super().__init__(id="tabs")
        self._tabs = [Tab(pane) for pane in PANES]
        self._note = TextLine(id="note")

    def compose(self) -> ComposeResult:
        yield from self._tabs
        yield self._note

    def mark(self, name: str) -> None:
        """Mark the tab of the current pane."""
        for tab in self._tabs:
            tab.set_class(tab.pane == name, "-current")

    def show_note(self, pane: Pane) -> None:
        """Show what there is room for of the notes of the current pane."""
        self._note.show(pane.note_within(self._note.content_size.width))
