"""The board of all hosts, ranked by their nearest limit, or of groups of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from sockmon import format as fmt
from sockmon.fleet.feed import FleetState
from sockmon.fleet.grouping import HostGroup, group_keys, group_value, groups
from sockmon.fleet.hosts import FleetHost
from sockmon.ui import keys
from sockmon.ui.filtering.filter import Filterable
from sockmon.ui.fleet import cells, lines
from sockmon.ui.fleet.cells import HostRow, reason_span
from sockmon.ui.fleet.columns import (
    MIN_FLEX_CELLS,
    MIN_NAME_CELLS,
    group_columns,
    host_columns,
)
from sockmon.ui.fleet.context import fleet_context
from sockmon.ui.fleet.filter_values import EXAMPLES, KNOWN, host_values
from sockmon.ui.fleet.host_page import OPENS
from sockmon.ui.fleet.host_panel import HostPanel
from sockmon.ui.main.header import CLOCK_WIDTH
from sockmon.ui.widgets.column import Column
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.labelled_list import Labelled
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.text_line import TextLine

USUAL_ORDER = "the one that reaches a limit first"
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
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (50, "-narrow"), (110, "-normal"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (12, "-short"), (32, "-tall"), (46, "-high")]  # noqa: RUF012

    def __init__(self, kept: Kept, trend_title: str, trend_seconds: float) -> None:
        super().__init__()
        self._kept = kept
        self._label, self._value = kept.label, kept.value
        self._trend_title, self._trend_seconds = trend_title, trend_seconds
        self._state = FleetState()
        self._drawn: FleetState | None = None
        """The state whose hosts are drawn; None before the first drawing."""
        self._rows: Sequence[HostRow] = ()
        self._names = MIN_NAME_CELLS, "", False
        """What the columns depend on: letters of the longest name of a host without the port that all have, that
        port, and whether a sample of a live host is older than a minute."""
        self._oldest: float | None = None
        """Age of the oldest sample of a live host when the answer came."""
        self._height: int | None = None
        """Lines of the list of hosts; None: what the panel leaves."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield TextLine(id="header")
            yield TextLine(id="clock")
        yield TextLine(id="banner")
        yield TextLine(id="summary")
        with Frame(_title("Hosts", USUAL_ORDER), id="hosts"):
            yield Table(
                self._host_columns(160),
                lambda row: row.host.name,
                id="host-table",
                empty="asking …",
                columns_for=self._host_columns,
                row_span=reason_span,
                flex=MIN_FLEX_CELLS,
                filterable=Filterable(KNOWN, host_values),
                shown=lambda row: row.shown,
            )
            yield Table(
                group_columns(160, "group"),
                lambda row: row.value,
                id="group-table",
                columns_for=lambda width: group_columns(width, self._label or "group", self._names[1]),
                flex=MIN_FLEX_CELLS,
            )
        yield HostPanel(self._trend_seconds)
        yield FilterLine(EXAMPLES)
        yield Static("The terminal is too small.\nsockmon needs 50 × 12.", id="small", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        if self._kept.filter:
            self._filter_line.set_text(self._kept.filter)
        self._draw()

    @property
    def _hosts_table(self) -> Table[HostRow]:
        return cast("Table[HostRow]", self.query_one("#host-table", Table))

    @property
    def _groups_table(self) -> Table[HostGroup]:
        return cast("Table[HostGroup]", self.query_one("#group-table", Table))

    @property
    def _filter_line(self) -> FilterLine:
        return self.query_one(FilterLine)

    @property
    def _grouped(self) -> bool:
        """Whether groups are shown, and not hosts."""
        return bool(self._label) and self._value is None

    @property
    def _table(self) -> Table[Any]:
        return self._groups_table if self._grouped else self._hosts_table

    @property
    def _group(self) -> HostGroup | None:
        """The group under the cursor; None if hosts are shown."""
        return self._groups_table.selected if self._grouped else None

    @property
    def about(self) -> HostRow | None:
        """The host under the cursor, or the worst one of the group there."""
        group = self._group
        return self.row_of(group.worst.name) if group else self._hosts_table.selected

    def row_of(self, name: str) -> HostRow | None:
        """Return the newest row of a host."""
        return next((row for row in self._rows if row.host.name == name), None)

    def keep(self) -> Kept:
        """Return what the screen is restored to."""
        row, text, listed = self.about, self._filter_line.text, self._hosts_table.listed
        order = listed.column.title if listed.column else None, listed.reverse
        return Kept(row.host.name if row else "", text, self._label, self._value, order)

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
        if new or self._has_old_samples() != self._names[2]:
            self._draw()
        elif self.query("#limits"):
            self._show_lines()
            self._hosts_table.repaint()
            self._show_note(self._table)
            self._show_age()

    def _draw(self) -> None:
        if not self.query("#limits"):
            # The parts of the panel are mounted last.
            return
        self._drawn = state = self._state
        hosts: Sequence[FleetHost] = state.fleet.hosts if state.fleet else ()
        self._rows = [HostRow(host, state.at) for host in hosts]
        self._name_hosts(hosts)
        self._show_lines()
        self.query_one("#summary", TextLine).show(lines.summary(hosts, self.size.width) if state.fleet else Text())
        self.set_class(self._grouped, "-grouped")
        self._show_groups(hosts) if self._grouped else self._show_hosts()
        self._show_selected()
        self._divide()

    def _name_hosts(self, hosts: Sequence[FleetHost]) -> None:
        port = cells.common_port(hosts)
        longest = max((len(host.name) for host in hosts), default=MIN_NAME_CELLS) - len(port)
        ages = (host.age for host in hosts if host.state == "live" and host.age is not None)
        self._oldest = max(ages, default=None)
        names = longest, port, self._has_old_samples()
        if names != self._names:
            self._names = names
            self._hosts_table.choose_columns_again()
            self._groups_table.choose_columns_again()

    def _has_old_samples(self) -> bool:
        """Return whether the age of a live host must be seen; of another host the reason says it."""
        return self._oldest is not None and self._oldest + time.monotonic() - self._state.at >= cells.OLD_SECONDS

    def _show_lines(self) -> None:
        """Show what is asked, how old the answer is, and what is wrong with the source."""
        title, now = fleet_context(self).feed.title, time.monotonic()
        width = self.size.width - CLOCK_WIDTH
        self.query_one("#header", TextLine).show(lines.header_line(title, self._state, now, width))
        self.query_one("#clock", TextLine).show(lines.clock())
        warning = lines.banner(title, self._state, now)
        strip = self.query_one("#banner", TextLine)
        strip.set_class(bool(warning), "-shown")
        strip.show(Text(warning))

    def _show_hosts(self) -> None:
        table = self._hosts_table
        rows = self._rows
        if self._value is not None:
            rows = [row for row in rows if group_value(row.host, self._label) == self._value]
        table.empty = "no host is in this group any more" if self._value and self._rows else self._why_empty()
        table.set_filter(self._filter_line.filter)
        first = not table.rows
        table.show(rows)
        if first and rows and self._kept.host:
            if any(self._kept.order):
                table.sort_by(*self._kept.order)
            self._select(self._kept.host)
        self._name_order(table)
        self._show_note(table)

    def _select(self, name: str) -> None:
        names = [row.host.name for row in self._hosts_table.arranged]
        if name in names and name != names[0]:
            self._hosts_table.move(names.index(name))

    def _show_groups(self, hosts: Sequence[FleetHost]) -> None:
        table = self._groups_table
        matching = [
            row.host for row in self._rows if self._filter_line.filter.known(KNOWN).matches(host_values(row))
        ]
        table.empty = "nothing matches the filter" if hosts else self._why_empty()
        table.show(groups(matching, self._label))
        self._name_order(table)
        self._show_note(table)

    def _why_empty(self) -> str:
        if self._state.fleet is not None:
            return "no host has metrics of sockmon here: is `sockmon export` scraped, and does --match fit?"
        return "no answer yet" if self._state.error else "asking …"

    def _name_order(self, table: Table[Any]) -> None:
        usual = "the worst first" if self._grouped else USUAL_ORDER
        what = f"by {table.order}" if table.order else usual
        about = f" · {self._label} = {self._value}" if self._value is not None else ""
        name = f"Groups by {self._label}" if self._grouped else f"Hosts{about}"
        self.query_one("#hosts", Frame).border_title = _title(name, what)

    def _show_note(self, table: Table[Any]) -> None:
        hidden = len(table.arranged) - max(table.size.height - table.heading, 0)
        below = Text(f"+ {hidden:,} below", "muted") if table.size.height and hidden > 0 else Text()
        ignored = Text(table.listed.ignored_terms, "sev-warning")
        self.query_one("#hosts", Frame).set_note(ignored, Text(table.matching, "accent"), below)

    def _show_selected(self) -> None:
        row = self.about
        if group := self._group:
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
        needed = max(len(self._table.arranged), 1) + FRAME_LINES
        room = self.size.height - OTHER_LINES - needed
        least = SHORT_PANEL_LINES if self.has_class("-short") else PANEL_LINES
        few = room >= least
        self.set_class(few, "-few")
        self.set_class(few and room >= PANEL_LINES + TREND_LINES, "-roomy")
        wanted = needed if few else None
        if wanted != self._height:
            self._height = self.query_one("#hosts").styles.height = wanted

    def _host_columns(self, width: int) -> Sequence[Column[HostRow]]:
        longest, port, old = self._names
        return host_columns(width, longest, self._trend_title, port, old)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    @on(Table.Moved)
    @on(Table.Arranged)
    def _moved(self, event: Table.Moved | Table.Arranged) -> None:
        if event.table is self._table:
            self._name_order(event.table)
            self._show_selected()

    # Keys

    def action_group(self) -> None:
        """Show groups by the next label, or all hosts after the last one."""
        hosts = self._state.fleet.hosts if self._state.fleet else ()
        every = ["", *group_keys(hosts)]
        at = every.index(self._label) if self._label in every else 0
        self._show_label(every[(at + 1) % len(every)])

    def _show_label(self, label: str, value: str | None = None) -> None:
        self._label, self._value = label, value
        self._groups_table.choose_columns_again()
        self._hosts_table.action_first()
        self._groups_table.action_first()
        self._draw()
        self._table.focus()

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
        self._table.focus()

    @on(Table.Opened)
    def _opened(self, event: Table.Opened) -> None:
        if event.table is self._groups_table:
            self._show_label(self._label, event.row.value)
        elif event.table is self._hosts_table:
            fleet_context(self).open_host(event.row)
        else:
            self.action_details()

    def back(self) -> bool:
        """Close the filter, the group or the groups; return False if there is none of these."""
        if self._filter_line.shown:
            self._filter_line.clear()
        elif self._value is not None:
            self._show_label(self._label)
        elif self._label:
            self._show_label("")
        else:
            return False
        return True


def _hosts_of(state: FleetState) -> object:
    """Return what the hosts on the screen, or their absence, depend on."""
    return id(state.fleet), state.at, bool(state.error)


def _title(name: str, what: str) -> Content:
    return Content.assemble((name, "bold"), (f" {what}", "dim"))
