"""The main screen: the Headroom board, and four panes below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Click, Resize
from textual.screen import Screen
from textual.widgets import Footer, Input, Label, Static

from sockmon.assess import Assessment
from sockmon.model.detail import Detail, Focus
from sockmon.model.report import Reading
from sockmon.ui import keys
from sockmon.ui.board import Board
from sockmon.ui.filter import Filter, parse
from sockmon.ui.header import CLOCK_WIDTH, Status, banner, clock, header
from sockmon.ui.panes import PANES, Pane, View
from sockmon.ui.panes.pane import ALARMS
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.words import Words

if TYPE_CHECKING:
    from sockmon.ui.app import SockmonApp


class Tab(Static):
    """A pane's name on a narrow screen; a click brings the pane."""

    def __init__(self, pane: type[Pane]) -> None:
        super().__init__(f"{pane.NUMBER} {pane.TITLE}", markup=False, id=f"tab-{pane.NAME}")
        self.pane = pane.NAME

    async def on_click(self, event: Click) -> None:
        await self.run_action(f"screen.pane({self.pane!r})")


class MainScreen(Screen[None]):
    """Everything at a glance; one pane is current, and alone where there is room for one."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("main"))
    AUTO_FOCUS = "#process-table"
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"), (50, "-narrow"), (110, "-normal"), (150, "-wide"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"), (12, "-short"), (32, "-tall"), (46, "-high"),
    ]  # fmt: skip

    def __init__(self, story: str = "") -> None:
        super().__init__()
        self._story = story
        self._filter = Filter()
        self._view: View | None = None
        self._status: Status | None = None
        self._current = "processes"
        self._drawing = False
        self._led = False
        """Whether the keys were led to the board once: after that they stay where a person takes them."""

    def compose(self) -> ComposeResult:
        sockets, processes, ports, conntrack = (pane() for pane in PANES)
        with Horizontal(id="top"):
            yield Words(id="header")
            # The clock stands alone: of an idle screen it is all that a tick sends.
            yield Words(id="clock")
        yield Words(id="banner")
        if self._story:
            yield Words(id="does")
            yield Words(id="look")
        yield Board()
        with Horizontal(id="tabs"):
            for pane in PANES:
                yield Tab(pane)
            yield Words(id="note")
        with Vertical(id="panes"):
            yield Horizontal(sockets, processes, classes="row")
            yield Horizontal(ports, conntrack, classes="row")
        with Horizontal(id="filter"):
            yield Label("filter", markup=False)
            yield Input(
                placeholder="port:443 state:TIME_WAIT proc:nginx user:www or any words", select_on_focus=False
            )
            yield Words(id="matching")
        yield Static("The terminal is too small.\nsockmon needs 50 × 12.", id="small", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self._mark_current()

    # What is shown

    def show(self, assessment: Assessment) -> None:
        """Draw an Assessment on the board and on every pane that is in sight."""
        snapshot = assessment.snapshot
        self._view = View(assessment, snapshot.netns[0] if snapshot.netns else None, self._filter)
        self._draw()
        self._lead(assessment)

    def _lead(self, assessment: Assessment) -> None:
        """With the first alarm, before any key, the keys go to the board: Enter opens the worst, t tunes it."""
        alarmed = any(reading.severity in ALARMS for reading in assessment.report.readings)
        if alarmed and not self._led:
            self._led = True
            if not cast("SockmonApp", self.app).pressed:
                self.query_one("#readings", Table).focus()

    def answer(self, detail: Detail) -> None:
        """Nothing here asks for details."""

    def status(self, status: Status) -> None:
        """Say how the stream is doing."""
        self._status = status
        if not self.query("#clock"):
            # The lines inside of containers are mounted last.
            return
        snapshot = self._view.assessment.snapshot if self._view else None
        self.query_one("#header", Words).show(header(snapshot, status, self.size.width - CLOCK_WIDTH))
        self.query_one("#clock", Words).show(clock(snapshot))
        warning = banner(snapshot, status)
        strip = self.query_one("#banner", Words)
        strip.set_class(bool(warning), "-shown")
        strip.show(Text(warning))

    def _draw_soon(self) -> None:
        """Draw once the layout stands, however often that was asked for meanwhile."""
        if not self._drawing:
            self._drawing = True
            self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        # A screen that is being closed has lost its panes already.
        if self._view is None or not self.query(Board):
            return
        if self._story:
            does, _, look = self._story.partition("\n")
            self.query_one("#does", Words).show(Text.assemble((does, "muted")))
            self.query_one("#look", Words).show(Text.assemble(("→ ", "faint"), (look, "accent")))
        self.query_one(Board).show(self._view)
        for pane in self.query(Pane):
            if pane.region or self._current == pane.NAME:
                pane.show(self._view)
        self.query_one("#note", Words).show(self.query_one(f"#{self._current}", Pane).note)

    def on_resize(self, event: Resize) -> None:
        if self._status:
            self.status(self._status)
        # Panes learn their size after this message; then those that came into sight are drawn.
        self._draw_soon()

    # Where one is

    def _mark_current(self) -> None:
        for pane in self.query(Pane):
            current = self._current == pane.NAME
            pane.set_class(current, "-current")
            self.query_one(f"#tab-{pane.NAME}", Tab).set_class(current, "-current")
        for row in self.query(".row"):
            row.set_class(bool(row.query(".pane.-current")), "-current")
        self._draw_soon()

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        self.remove_class("-board")
        self.query_one(Board).be_folded()
        self._current = name
        self._mark_current()
        self.query_one(f"#{name}", Pane).query(Table).first().focus()

    @property
    def _alone(self) -> bool:
        """True where one pane is shown at a time."""
        return any(map(self.has_class, ("-zoom", "-narrow", "-short")))

    def action_next(self, step: int) -> None:
        """Go to the next table in sight; where one pane is shown, to the next pane, from the board to that one."""
        if self._alone:
            names = [pane.NAME for pane in PANES]
            from_board = self.query_one("#readings", Table).has_focus and not self.has_class("-board")
            self.action_pane(names[(names.index(self._current) + step * (not from_board)) % len(names)])
        elif step > 0:
            self.focus_next(Table)
        else:
            self.focus_previous(Table)

    def on_descendant_focus(self) -> None:
        if self._alone:
            # Textual looks for another focus when a pane is hidden; following it would hide the next, for ever.
            return
        pane = (
            next((node for node in self.focused.ancestors if isinstance(node, Pane)), None)
            if self.focused
            else None
        )
        if pane and self._current != pane.NAME:
            self._current = pane.NAME
            self._mark_current()

    def action_zoom(self) -> None:
        """Show the current pane alone, and all again."""
        self.remove_class("-board")
        self.toggle_class("-zoom")
        if self.query_one("#readings", Table).has_focus:
            self.query_one(f"#{self._current} Table", Table).focus()
        self._draw_soon()

    def action_board(self) -> None:
        """Show the whole board, and the panes again."""
        self.remove_class("-zoom")
        self.toggle_class("-board")
        whole = self.has_class("-board")
        self.query_one(Board).be_folded()
        (self.query_one("#readings", Table) if whole else self.query_one(f"#{self._current} Table", Table)).focus()
        self._draw_soon()

    def back(self) -> bool:
        """Undo the last narrowing of the view: filter, board, zoom; False: there was none."""
        if self.query_one("#filter").has_class("-shown"):
            self._end_filter(clear=True)
            return True
        for name in ("-board", "-zoom"):
            if self.has_class(name):
                self.action_board() if name == "-board" else self.action_zoom()
                return True
        return False

    # Filter

    def action_filter(self) -> None:
        """Open the filter line."""
        self.query_one("#filter").add_class("-shown")
        self._hint("Enter keeps · Esc clears")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        self._filter = parse(event.value)
        if self._view:
            self._view = self._view._replace(filter=self._filter)
            self._draw()

    @on(Input.Submitted)
    def _filter_done(self) -> None:
        self._end_filter(clear=not self.query_one(Input).value.strip())

    def _end_filter(self, clear: bool) -> None:
        if clear:
            self.query_one(Input).value = ""
            self.query_one("#filter").remove_class("-shown")
        self._hint("/ changes · Esc clears")
        self.query_one(f"#{self._current} Table", Table).focus()

    def _hint(self, text: str) -> None:
        self.query_one("#matching", Words).show(Text.assemble((text, "muted")))

    # Going deeper

    @property
    def alarm(self) -> Reading | None:
        """The alarm under the cursor of the board, where the keys go there."""
        table = self.focused
        row = table.selected if isinstance(table, Table) and table.id == "readings" else None
        return row if isinstance(row, Reading) and row.severity in ALARMS else None

    @on(Table.Opened)
    def _opened(self, event: Table.Opened) -> None:
        found: Focus | Reading | None = None
        if isinstance(event.row, Reading):
            found = event.row
        else:
            panes: list[Any] = [node for node in event.table.ancestors if isinstance(node, Pane)]
            found = panes[0].opens(event.row) if panes else None
        if found is not None:
            cast("SockmonApp", self.app).open(found)
