"""The board of all hosts, ranked by their nearest limit, or of groups of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer

from sockmon import format as fmt
from sockmon.fleet.feed import FleetState
from sockmon.fleet.grouping import group_keys
from sockmon.fleet.hosts import FleetHost
from sockmon.ui import keys
from sockmon.ui.fleet import lines
from sockmon.ui.fleet.cells import HostRow
from sockmon.ui.fleet.context import fleet_context
from sockmon.ui.fleet.filter_values import EXAMPLES
from sockmon.ui.fleet.host_page import OPENS
from sockmon.ui.fleet.host_panel import HostPanel
from sockmon.ui.fleet.host_tables import HostTables
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.head_lines import CLOCK_WIDTH, HEAD_HEIGHTS, HEAD_WIDTHS, HeadLines, TooSmall
from sockmon.ui.widgets.labelled_list import Labelled
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.text_line import TextLine

PANEL_LINES, SHORT_PANEL_LINES = 14, 8
"""Lines of the panel from which on a short list gets only those that it needs, on a tall and on a short screen."""
TREND_LINES = 7
"""Lines of the trend, where it is below the limits of the host: a narrow screen has no room beside them."""
OTHER_LINES = 4
"""Lines of header, summary and footer, and one to spare."""
FRAME_LINES = 3
"""Lines of a table's frame and heading."""


class Kept(NamedTuple):
    """What the screen is restored to after the live screen of a host."""

    host: str = ""
    """The host under the cursor."""
    filter: str = ""
    label: str = ""
    """Of the groups; empty without groups."""
    value: str | None = None
    """The group that was opened; None: all hosts, or the groups."""
    order: tuple[str | None, bool] = None, False
    """The column that the hosts are sorted by, None for the default order, and whether that is reversed."""


class FleetScreen(Screen[None]):
    """Follows the answers of the source; draws only what changed."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.binding("filter"), *keys.bindings("fleet")]
    AUTO_FOCUS = "#host-table"
    HELP_FIRST: ClassVar[Mapping[str, str]] = {
        "open": f"{OPENS}; of a group, list its hosts",
        "fleet.host": "What is known of the host without opening it",
        "fleet.group": "Groups by each label, then by the nearest limit, then all hosts",
        "refresh": "Ask the server now; connect again to hosts that are lost",
    }
    HORIZONTAL_BREAKPOINTS = HEAD_WIDTHS
    VERTICAL_BREAKPOINTS = HEAD_HEIGHTS

    def __init__(self, kept: Kept, trend_title: str, trend_seconds: float) -> None:
        super().__init__()
        self._kept = kept
        self._head = HeadLines()
        self._tables = HostTables(trend_title, kept.label, kept.value)
        self._trend_seconds = trend_seconds
        self._state = FleetState()
        self._drawn: FleetState | None = None
        """The state whose hosts are drawn; None before the first drawing."""
        self._height: int | None = None
        """Lines of the list of hosts; None: what the panel leaves."""

    def compose(self) -> ComposeResult:
        yield from self._head.compose()
        yield TextLine(id="summary")
        yield self._tables
        yield HostPanel(self._trend_seconds)
        yield FilterLine(EXAMPLES)
        yield TooSmall()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        if self._kept.filter:
            self._filter_line.set_text(self._kept.filter)
        self._draw()

    @property
    def _filter_line(self) -> FilterLine:
        return self.query_one(FilterLine)

    @property
    def about(self) -> HostRow | None:
        """The host under the cursor, or the worst one of the group there."""
        return self._tables.about

    def row_of(self, name: str) -> HostRow | None:
        """Return the newest row of a host."""
        return self._tables.row_of(name)

    def keep(self) -> Kept:
        """Return what the screen is restored to."""
        row, tables = self.about, self._tables
        return Kept(row.host.name if row else "", self._filter_line.text, tables.label, tables.value, tables.order)

    # What is shown

    def show(self, state: FleetState) -> None:
        """Draw a new state of the source."""
        self._state = state
        self._draw_new()

    def tick(self) -> None:
        """Draw the ages: also of hosts whose source does not answer."""
        if self.is_mounted:
            self._draw_new()

    def _draw_new(self) -> None:
        """Draw the hosts if there is a new answer, otherwise what changes with time: ten thousand hosts are not
        filtered again each second."""
        new = self._drawn is None or _hosts_of(self._drawn) != _hosts_of(self._state)
        if new or self._tables.shows_other_ages:
            self._draw()
        elif self.query("#limits"):
            self._show_lines()
            self._tables.repaint()
            self._show_age()

    def _draw(self) -> None:
        if not self.query("#limits"):
            # The parts of the panel are mounted last.
            return
        self._drawn = state = self._state
        hosts: Sequence[FleetHost] = state.fleet.hosts if state.fleet else ()
        self._show_lines()
        self.query_one("#summary", TextLine).show(lines.summary(hosts, self.size.width) if state.fleet else Text())
        self.set_class(self._tables.grouped, "-grouped")
        first = self._tables.show(
            [HostRow(host, state.at) for host in hosts], self._filter_line.filter, self._why_empty()
        )
        if first and self._kept.host:
            self._tables.restore(self._kept.host, self._kept.order)
        self._show_selected()
        self._divide()

    def _show_lines(self) -> None:
        """Show what is asked, how old the answer is, and what is wrong with the source."""
        title, now = fleet_context(self).feed.title, time.monotonic()
        width = self.size.width - CLOCK_WIDTH
        header = lines.header_line(title, self._state, now, width)
        self._head.show(header, lines.clock(), lines.banner(title, self._state, now))

    def _why_empty(self) -> str:
        if self._state.fleet is not None:
            return "no host has metrics of sockmon here: is `sockmon export` scraped?"
        return "no answer yet" if self._state.error else "asking …"

    def _show_selected(self) -> None:
        row = self.about
        if group := self._tables.group:
            enter = f"lists the {fmt.plural(len(group.hosts), 'host')} of the group"
        else:
            address = fleet_context(self).address(row.host) if row else ""
            enter = f"opens {address}" if address else ""
        self.query_one(HostPanel).show(row, *([Labelled("Enter", Text(enter, "muted"))] if enter else ()))

    def _show_age(self) -> None:
        if row := self.about:
            self.query_one(HostPanel).show_age(row)

    def _divide(self) -> None:
        """Give a short list the lines that it needs, and the panel the rest; a long list gets what it leaves."""
        needed = max(len(self._tables.shown.arranged), 1) + FRAME_LINES
        room = self.size.height - OTHER_LINES - needed
        least = SHORT_PANEL_LINES if self.has_class("-short") else PANEL_LINES
        few = room >= least
        self.set_class(few, "-few")
        self.set_class(few and room >= PANEL_LINES + TREND_LINES, "-roomy")
        wanted = needed if few else None
        if wanted != self._height:
            self._height = self._tables.styles.height = wanted

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    @on(Table.Moved)
    @on(Table.Arranged)
    def _moved(self, event: Table.Moved | Table.Arranged) -> None:
        if event.table is self._tables.shown:
            self._tables.show_order()
            self._show_selected()

    # Keys

    def action_group(self) -> None:
        """Show groups by the next label, or all hosts after the last one."""
        hosts = self._state.fleet.hosts if self._state.fleet else ()
        every = ["", *group_keys(hosts)]
        at = every.index(self._tables.label) if self._tables.label in every else 0
        self._show_label(every[(at + 1) % len(every)])

    def _show_label(self, label: str, value: str | None = None) -> None:
        self._tables.choose(label, value)
        self._draw()
        self._tables.shown.focus()

    def action_details(self) -> None:
        """Open the page of the host under the cursor, or of the worst one of the group there."""
        if row := self.about:
            fleet_context(self).show_host(row)

    def action_filter(self) -> None:
        """Open the filter line."""
        self._filter_line.open()

    @on(FilterLine.Changed)
    def _filter_changed(self) -> None:
        self._draw()

    @on(FilterLine.Left)
    def _filter_left(self) -> None:
        self._tables.shown.focus()

    @on(Table.Opened)
    def _opened(self, event: Table.Opened) -> None:
        if event.table is self._tables.groups:
            self._show_label(self._tables.label, event.row.value)
        elif event.table is self._tables.hosts:
            fleet_context(self).open_host(event.row)
        else:
            self.action_details()

    def back(self) -> bool:
        """Close the filter, the group or the groups; return False if there is none of these."""
        if self._filter_line.shown:
            self._filter_line.clear()
        elif self._tables.value is not None:
            self._show_label(self._tables.label)
        elif self._tables.label:
            self._show_label("")
        else:
            return False
        return True


def _hosts_of(state: FleetState) -> object:
    """Return what the hosts on the screen, or their absence, depend on."""
    return id(state.fleet), state.at, bool(state.error)
