"""The main screen: the board of limits, and the panes below."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Idle, Resize, ScreenResume
from textual.screen import UPDATE_PERIOD, Screen
from textual.widget import Widget

from sockmon.assess import Assessment
from sockmon.assess.several import subject_in
from sockmon.ceilings import TITLES
from sockmon.model.detail import Detail, WatchNetns
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS
from sockmon.ui import keys
from sockmon.ui.context import app_context
from sockmon.ui.main.board import Board
from sockmon.ui.main.footer import LastingFooter
from sockmon.ui.main.header import StreamStatus, banner, clock, header_line
from sockmon.ui.main.pane_area import PaneArea, pane_of
from sockmon.ui.main.pane_tabs import PaneTabs
from sockmon.ui.main.panes import PANES, Pane, View
from sockmon.ui.main.panes.namespaces import NamespaceRow, NamespacesPane
from sockmon.ui.main.panes.pane import ChooseNetns, Jump
from sockmon.ui.main.panes.processes import ProcessesPane
from sockmon.ui.main.panes.sockets import SocketsPane
from sockmon.ui.row_compositor import RowCompositor
from sockmon.ui.snapshot_lookup import find_netns
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.head_lines import CLOCK_WIDTH, HEAD_HEIGHTS, HEAD_WIDTHS, HeadLines, TooSmall
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.text_line import TextLine

PATIENCE_SECONDS = 0.5
"""Seconds that what is not needed for the first board waits for it."""


class MainScreen(Screen[None]):
    """The board and the panes; one pane is current, and the only one if there is no room for four. Pane 5 is there
    only if there are several network namespaces."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings("main"),
        # The line of keys has no room for it at 80 columns.
        Binding(keys.BY_ID["act"].keys, "app.act", show=False, id="act"),
    ]
    AUTO_FOCUS = "#process-table"
    HORIZONTAL_BREAKPOINTS = HEAD_WIDTHS
    VERTICAL_BREAKPOINTS = HEAD_HEIGHTS

    def __init__(self, lab_intro: str = "") -> None:
        super().__init__()
        self._compositor = RowCompositor()
        self._lab_intro = lab_intro
        self._focus_before_filter: Widget | None = None
        """What had the focus before the filter line."""
        self._view: View | None = None
        self._status: StreamStatus | None = None
        self._drawing = False
        self._chosen = 0
        """Inode of the network namespace that the panes show; 0: of all."""
        self._alarm_focused = False
        """Whether the focus was moved to the board once; later it stays where the user moves it."""
        # What is drawn at each sample is kept here: a query looks at each widget.
        self._head = HeadLines()
        self._board = Board()
        self._tabs = PaneTabs()
        self._area = PaneArea()
        self._filter_line = FilterLine()
        self._footer = LastingFooter(show_command_palette=False)
        self._composed = self._resumed = self._completed = False
        self._drawn_at = 0.0
        """Of time.monotonic()."""

    def compose(self) -> ComposeResult:
        # Now, because each class that is set later styles all widgets below once more.
        width, height = self.app.size
        self.add_class(*self._get_breakpoint_classes(width, self.HORIZONTAL_BREAKPOINTS))
        self.add_class(*self._get_breakpoint_classes(height, self.VERTICAL_BREAKPOINTS))
        yield from self._head.compose()
        if self._lab_intro:
            yield TextLine(id="lab-scenario")
            yield TextLine(id="lab-hint")
        yield self._board
        yield self._tabs
        yield self._area
        yield TooSmall()
        yield self._footer

    def on_mount(self) -> None:
        # If no sample comes for so long, the rest comes first.
        self.set_timer(PATIENCE_SECONDS, self._complete)
        self._mark_current(self._area.current)

    async def _on_idle(self, event: Idle) -> None:
        """Draw at once what has changed, unless a frame was just drawn: for Textual's timer the process would wake
        once more."""
        now = time.monotonic()
        changed = self._dirty_widgets or self._repaint_required or self._layout_required
        if changed and self.is_current and not self.app._batch_count and now >= self._drawn_at + UPDATE_PERIOD:
            self._drawn_at = now
            event.prevent_default()
            self._on_timer_update()

    # What is shown

    def show(self, assessment: Assessment) -> None:
        """Draw an Assessment on the board and the visible panes."""
        several = len(assessment.snapshot.netns) > 1
        if several is not self.has_class("-several"):
            self.set_class(several, "-several", update=False)
            # Textual would style all widgets again, which takes as long as to draw them.
            for each in self.query("#tab-namespaces, #namespaces-row, #lower"):
                each.update_node_styles()
            if not several and self._area.current == NamespacesPane.NAME:
                self.action_pane(ProcessesPane.NAME)
        self._view = self._view_of(assessment)
        self._draw()

    def _view_of(self, assessment: Assessment) -> View:
        """Return what the panes draw: the chosen namespace, or all."""
        spaces = assessment.snapshot.netns
        first = spaces[0] if spaces else None
        if len(spaces) > 1 and self._chosen:
            if chosen := find_netns(assessment.snapshot, self._chosen):
                return View(assessment.of(chosen.inode), chosen, self._filter_line.filter, assessment, chosen=True)
            name = self._view.netns.name if self._view and self._view.netns else "this network namespace"
            app_context(self).show_message(f"{name} is not sampled any more: the panes show all namespaces")
            self._chosen = 0
            app_context(self).ask(WatchNetns(0))
        return View(assessment, first, self._filter_line.filter, assessment)

    def _choose(self, inode: int) -> None:
        """Let the panes show one network namespace, which the agent then samples fully; 0: all."""
        self._chosen = inode
        app_context(self).ask(WatchNetns(inode))
        if self._view:
            self._view = self._view_of(self._view.whole)
            self._draw()
        if self._status:
            self.show_status(self._status)

    def _focus_first_alarm(self, assessment: Assessment) -> None:
        """Focus the board at the first alarm, if no key was pressed yet: Enter opens it, t tunes it."""
        alarmed = any(reading.severity in ALARMS for reading in assessment.report.readings)
        if alarmed and not self._alarm_focused:
            self._alarm_focused = True
            if not app_context(self).key_was_pressed:
                self._board.table.focus()

    @property
    def chosen_netns(self) -> int:
        """The inode of the network namespace that was chosen in pane 5; 0: none."""
        return self._chosen

    @property
    def netns_inode(self) -> int | None:
        """The inode of the network namespace under the cursor of pane 5, else of the one that the panes show; None
        before the first sample."""
        row = self.focused.selected if isinstance(self.focused, Table) else None
        if isinstance(row, NamespaceRow):
            return row.netns.inode
        return self._view.netns.inode if self._view and self._view.netns else None

    def answer(self, detail: Detail) -> None:
        """Pass the answer to the panes: one of them may have asked."""
        self._area.answer(detail)

    def show_status(self, status: StreamStatus) -> None:
        """Show the state of the stream."""
        self._status = status
        if not self._head.is_mounted:
            return
        snapshot = self._view.whole.snapshot if self._view else None
        chosen = self._view.netns if self._view and self._view.chosen else None
        line = header_line(snapshot, status, self.size.width - CLOCK_WIDTH, chosen)
        self._head.show(line, clock(snapshot), banner(snapshot, status))

    def _draw_soon(self) -> None:
        """Draw once after the next layout."""
        if not self._drawing:
            self._drawing = True
            self.call_after_refresh(self._draw)

    @on(Pane.Appeared)
    def _pane_appeared(self, event: Pane.Appeared) -> None:
        """Draw what was not drawn while it was hidden: while the screen is paused no sample follows."""
        event.stop()
        self._draw_soon()

    def _draw(self) -> None:
        self._drawing = False
        # A screen that is being closed has lost its panes already.
        if self._view is None or not self._board.is_attached:
            return
        # A sample may come before the widgets are composed, and after the end of a recording no other follows.
        if not self._is_composed():
            self._draw_soon()
            return
        if self._lab_intro:
            scenario, _, hint = self._lab_intro.partition("\n")
            self.query_one("#lab-scenario", TextLine).show(Text.assemble((scenario, "muted")))
            self.query_one("#lab-hint", TextLine).show(Text.assemble(("→ ", "faint"), (hint, "accent")))
        self._board.show(self._view)
        self._area.show(self._view)
        self._tabs.show_note(self._area.current_pane)
        self._focus_first_alarm(self._view.whole)
        self._complete()

    def _complete(self) -> None:
        """Make what the first board does not show, once that is on the terminal."""
        if not self._completed:
            self._completed = True
            self.call_after_refresh(self._make_rest)

    async def _make_rest(self) -> None:
        self._footer.begin()
        await self.mount(self._filter_line, before="#small")
        await self._area.make_rest()
        app_context(self).on_board_drawn()

    def _is_composed(self) -> bool:
        """Return whether all that is drawn is mounted: tables inside of panes are mounted last."""
        if not self._composed:
            drawn = (self._board.table, self._board.fold_line, *self._area.last_tables)
            self._composed = all(widget.is_mounted for widget in drawn)
        return self._composed

    def on_resize(self, event: Resize) -> None:
        if self._status:
            self.show_status(self._status)
        # Panes get their size after this message; then those that became visible are drawn.
        self._draw_soon()
        self.call_after_refresh(self._focus_visible_table)

    def on_screen_resume(self, event: ScreenResume) -> None:
        """Check the focus: the size may have changed while another screen was on top."""
        if not self._resumed:
            # All widgets were just styled; Textual would style them once more.
            self._resumed, event.refresh_styles = True, False
        self.call_after_refresh(self._focus_visible_table)

    # Navigation

    def _mark_current(self, name: str) -> None:
        self.set_class(name == NamespacesPane.NAME, "-fifth")
        self._area.mark(name)
        self._tabs.mark(name)
        self._draw_soon()

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        if name == NamespacesPane.NAME and not self.has_class("-several"):
            app_context(self).show_message("there is one network namespace, which all panes show", "information")
            return
        self.remove_class("-board")
        self._board.apply_fold()
        self._mark_current(name)
        tables = self._area.current_pane.query(Table)
        next((each for each in tables if each.count), tables.first()).focus()

    def action_process_states(self) -> None:
        """Show the processes by TCP state, or by headroom again."""
        self.action_pane(ProcessesPane.NAME)
        self.query_one(ProcessesPane).toggle_states()

    @property
    def _single_pane(self) -> bool:
        """Whether one pane is shown at a time."""
        return any(map(self.has_class, ("-zoom", "-narrow", "-short")))

    def action_next(self, step: int) -> None:
        """Focus the next visible table; if one pane is shown at a time, show the next pane."""
        if self._single_pane and self._next_in_pane(step):
            return
        if self._single_pane:
            names = [pane.NAME for pane in PANES if pane is not NamespacesPane or self.has_class("-several")]
            from_board = self._board.table.has_focus and not self.has_class("-board")
            self.action_pane(names[(names.index(self._area.current) + step * (not from_board)) % len(names)])
        elif step > 0:
            self.focus_next(Table)
        else:
            self.focus_previous(Table)

    def _next_in_pane(self, step: int) -> bool:
        """Focus the next table of a pane that has several below each other; return False if there is none."""
        tables = self._area.current_pane.tables_in_turn()
        if self.focused not in tables:
            return False
        at = tables.index(self.focused) + step
        if 0 <= at < len(tables):
            tables[at].focus()
        return 0 <= at < len(tables)

    def on_descendant_focus(self) -> None:
        if self._single_pane:
            # Textual moves the focus when a pane is hidden; following it would hide the next pane, without end.
            return
        pane = pane_of(self.focused) if self.focused else None
        if pane and self._area.current != pane.NAME:
            self._mark_current(pane.NAME)

    def action_zoom(self) -> None:
        """Show the current pane alone, or all panes again; of the sockets pane open the list of all sockets."""
        pane = self._area.current_pane
        if isinstance(pane, SocketsPane) and app_context(self).source.live and not self.has_class("-zoom"):
            app_context(self).open(pane.every_socket)
            return
        self.remove_class("-board")
        self.toggle_class("-zoom")
        if self._board.table.has_focus:
            self.query_one(f"#{self._area.current} Table", Table).focus()
        self._draw_soon()

    def action_board(self) -> None:
        """Show the board alone, or the panes again."""
        self.remove_class("-zoom")
        self.toggle_class("-board")
        whole = self.has_class("-board")
        self._board.apply_fold()
        (self._board.table if whole else self.query_one(f"#{self._area.current} Table", Table)).focus()
        self._draw_soon()

    def back(self) -> bool:
        """Close the filter, the board or the zoom, or go back from one namespace to all; return False if there is
        none of these."""
        if self._filter_line.shown:
            self._filter_line.clear()
            return True
        for name in ("-board", "-zoom"):
            if self.has_class(name):
                self.action_board() if name == "-board" else self.action_zoom()
                return True
        if self._chosen:
            self._choose(0)
            self.action_pane(NamespacesPane.NAME)
            return True
        return False

    # Filter

    def action_filter(self) -> None:
        """Open the filter line."""
        if not self._filter_line.is_mounted:
            self._complete()
            self.call_after_refresh(self.action_filter)
            return
        if isinstance(self.focused, Table):
            self._focus_before_filter = self.focused
        self._filter_line.open()

    @on(FilterLine.Changed)
    def _filter_changed(self, event: FilterLine.Changed) -> None:
        if self._view:
            self._view = self._view._replace(filter=event.filter)
            self._draw()

    @on(FilterLine.Left)
    def _filter_left(self) -> None:
        """Focus the table that had the focus before the filter line, if it is visible."""
        back = self._focus_before_filter if self._focus_before_filter in self.focus_chain else None
        (back or self._default_table).focus()

    @property
    def _default_table(self) -> Table[Any]:
        """The table that gets the focus if no visible table has it."""
        where = "#readings" if self.has_class("-board") else f"#{self._area.current} Table"
        return self.query(where).first(Table)

    def _focus_visible_table(self) -> None:
        """Move the focus away from hidden widgets: after another screen Textual restores the focus unchecked."""
        small = self.has_class("-tiny") or self.has_class("-flat")
        if not small and (self.focused is None or self.focused not in self.focus_chain):
            self._default_table.focus()

    # Opening rows

    @property
    def alarm_under_cursor(self) -> Reading | None:
        """The alarm under the cursor, if the board has the focus."""
        table = self.focused
        row = table.selected if isinstance(table, Table) and table.id == "readings" else None
        return row if isinstance(row, Reading) and row.severity in ALARMS else None

    def action_acknowledge(self) -> None:
        """Dim the alarm under the cursor of the board until it gets worse or ends, or take that back."""
        reading, app = self.alarm_under_cursor, app_context(self)
        if reading is None or self._view is None:
            app.show_message("no alarm under the cursor: move it to an alarm of the board", "information")
            return
        taken = self._board.acknowledged.toggle(reading, self._view.whole)
        text = "acknowledged until it gets worse or ends" if taken else "no longer acknowledged"
        subject = subject_in(reading, self._view.has_several)
        app.show_message(f"{TITLES[reading.ceiling]} {subject}: {text}", "information")
        self._draw()

    @on(Table.Opened)
    def _opened(self, event: Table.Opened) -> None:
        pane = pane_of(event.table)
        found: Any = pane.target(event.row) if pane else event.row
        app = app_context(self)
        if isinstance(found, ChooseNetns):
            self._choose(found.inode)
            self.action_pane(found.pane)
            return
        if not isinstance(found, Jump):
            app.open(found)
            return
        if found.sockets is not None and app.source.live:
            app.open(found.sockets)
            return
        app.show_message(found.message, "information")
        if found.query is not None:
            app.open(found.query)
        elif found.table:
            self._jump(found)

    def _jump(self, jump: Jump) -> None:
        """Show the table that lists what a row counts, filtered and sorted for it."""
        table: Table[Any] = self.query_one(f"#{jump.table}", Table)
        pane = pane_of(table)
        self._filter_line.set_text(jump.filter)
        if pane:
            self.action_pane(pane.NAME)
        table.sort_by(jump.sort or None)
        table.focus()
