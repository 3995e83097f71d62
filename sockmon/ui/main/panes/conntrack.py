"""Pane 4: the connection table: usage, refused entries, and entries by protocol and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget

from sockmon import format as fmt
from sockmon.assess import Gauge
from sockmon.model.conntrack_flows import FlowsQuery
from sockmon.model.detail import DetailQuery
from sockmon.model.report import Reading
from sockmon.model.snapshot import Conntrack, Netns
from sockmon.ui.appearance.styles import STATES
from sockmon.ui.filtering.filter import ALL, Filterable, RowValues
from sockmon.ui.filtering.flow_terms import terms_of_kind, terms_of_top
from sockmon.ui.main.gauge_cells import number, usage_cell
from sockmon.ui.main.panes.conntrack_tops import Share, Tops, TopTable
from sockmon.ui.main.panes.pane import Jump, Pane, View
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.text_line import TextLine
from sockmon.ui.widgets.trend import Trend

KNOWN = dict.fromkeys(("state", "proto", "count", "full"), ALL)
"""What the filter knows about these rows."""
LINES_ABOVE_TABLE = 2
MIN_PLOT_LINES = 4
"""Lines of the smallest plot that is worth its place."""
MAX_ENTRY_LINES = 7
"""Lines of the table of entries above the tops; the rest scrolls."""
LOSSES = ("drop", "insert_failed", "early_drop")


class EntryRow(NamedTuple):
    """Entries of one protocol and state."""

    name: str
    entries: int
    share: float

    @property
    def protocol(self) -> str:
        """tcp, udp, …"""
        return self.name.partition(" ")[0]

    @property
    def state(self) -> str:
        """The TCP state; empty for other protocols."""
        return self.name.partition(" ")[2]


def columns(width: int) -> tuple[Column[EntryRow], ...]:
    """Return the columns for a table of that width; the bar takes the rest."""
    bar_cells = max(width - 42, 8)
    return (
        Column("PROTO", 6, lambda line: Text(line.protocol, "muted"), lambda line: line.protocol, pin=True),
        Column("STATE", 0, _state, lambda line: line.state or None, pin=True),
        Column("ENTRIES", 9, lambda line: number(line.entries), lambda line: line.entries, "right"),
        Column("SHARE", 6, lambda line: Text(fmt.ratio(line.share), "muted"), lambda line: line.share, "right"),
        Column("", bar_cells, lambda line: bar(line.share, bar_cells, style="spark")),
    )


def _state(line: EntryRow) -> Text:
    return Text(line.state or fmt.NOTHING, STATES.get(line.state, "faint"))


def _filter_values(line: EntryRow) -> RowValues:
    return {
        "state": line.state or None,
        "proto": line.protocol,
        "count": line.entries,
        "full": 100 * line.share,
    }


class ConntrackPane(Pane):
    """Entries of the table, and its limit nf_conntrack_max."""

    NAME, TITLE, NUMBER = "conntrack", "Conntrack", 4

    def __init__(self) -> None:
        super().__init__()
        self._view: View | None = None
        self._reading: Reading | None = None
        self._fill, self._losses = TextLine(id="fill"), TextLine(id="losses")
        self._entries = Table(
            columns(60),
            lambda line: line.name,
            id="entries",
            columns_for=columns,
            default_order="entries",
            filterable=Filterable(KNOWN, _filter_values),
            shown=lambda line: line,
        )
        self.tables = (self._entries,)
        self._tops = Tops(id="tops")
        self._heading = TextLine(id="entries-heading")
        self._trend = Trend(id="entries-trend")

    def compose(self) -> ComposeResult:
        yield self._fill
        yield self._losses
        yield self._entries
        yield self._heading
        yield self._trend

    async def make_rest(self) -> None:
        """Make the tables of the tops, which are shown if this pane is zoomed."""
        await self.mount(self._tops, before=self._heading)
        if self._view is not None:
            self.show(self._view)

    def on_resize(self) -> None:
        """Another size has more or fewer lines for the plot."""
        if self._view is not None:
            self.call_after_refresh(self.show, self._view)

    def place(self, view: View) -> str:
        """Return the namespace that is shown: of all, the fullest."""
        fullest = _fullest(view)
        return f"{fullest.name}, the fullest" if fullest and len(view.shown) > 1 else super().place(view)

    def show(self, view: View) -> None:
        self._view = view = view.only(_fullest(view))
        conntrack = view.netns.conntrack if view.netns else None
        readings = view.assessment.report.readings
        self._reading = next((row for row in readings if row.ceiling == "conntrack-table"), None)
        table, usage, losses = self._entries, self._fill, self._losses
        if conntrack is None:
            why = view.missing("conntrack") or "not read yet"
            usage.show(Text.assemble(("? ", "sev-unknown"), why))
            losses.show(Text())
            table.empty = ""
            table.show(())
            self.set_note()
            self._show_trend(view, None, 0, self._show_tops(view, None))
            return
        usage.show(_usage_line(view, conntrack, table.size.width))
        losses.show(_loss_rates(view))
        table.empty = _why_empty(view, conntrack)
        table.set_filter(view.filter)
        table.show(_entry_rows(conntrack))
        self._show_trend(view, conntrack, len(table.arranged), self._show_tops(view, conntrack))
        notes = () if self._tops.display else self.filter_notes(view)
        self.set_note(*notes, _unreplied(conntrack), view.aged(conntrack.table_at))

    def _show_tops(self, view: View, conntrack: Conntrack | None) -> int:
        """Show who fills the table, if this pane is zoomed; return the lines that it needs."""
        tops = conntrack.tops if conntrack else None
        zoomed = self._tops.is_mounted and self.screen.has_class("-zoom")
        self._tops.display = zoomed and tops is not None and tops.entries > 0
        if tops is None or not self._tops.display:
            return 0
        return self._tops.show_tops(tops, view.filter, self.size.width)

    def filter_notes(self, view: View) -> Iterator[Text]:
        """Yield the notes of the table of entries; those of the tops are in their frames."""
        yield Text(self._entries.listed.ignored_terms, "sev-warning")
        yield Text(self._entries.matching, "accent")

    def tables_in_turn(self) -> list[Widget]:
        """Return the table of entries, and the tops if they are shown."""
        if not self._tops.display:
            return []
        return [self._entries, *(table for table in self._tops.query(TopTable) if table.display)]

    def _show_trend(self, view: View, conntrack: Conntrack | None, rows: int, tops_lines: int) -> None:
        """Use the lines that the tables leave empty for the entries over time, if there are enough of them."""
        table, plot, heading = self._entries, self._trend, self._heading
        table_lines = max(rows, 1) + 1
        room = self.size.height - LINES_ABOVE_TABLE - table_lines - tops_lines - 1
        shown = conntrack is not None and room >= MIN_PLOT_LINES
        table.styles.height = min(table_lines, MAX_ENTRY_LINES) if tops_lines else table_lines if shown else None
        self._tops.styles.height = tops_lines if shown else "1fr"
        heading.display = plot.display = shown
        if conntrack is None or view.netns is None or not shown:
            return
        key = ("conntrack-table", view.netns.name)
        found = view.assessment.gauges.get(key)
        severity = found.severity if found else "unknown"
        heading.show(
            Text.assemble(("entries over time  ", "column"), (fmt.rate(found.rate) if found else "", "muted"))
        )
        points = view.assessment.series.get(key, ())
        plot.show(points, conntrack.maximum, view.assessment.snapshot.at, severity)

    def target(self, row: EntryRow | Share) -> DetailQuery | Jump:
        """Return the flows that a row counts; without a namespace there are none, and the limit is opened."""
        netns = self._view.netns if self._view else None
        if netns is None:
            return Jump("no network namespace was read", query=self._reading)
        terms = terms_of_top(row.row) if isinstance(row, Share) else terms_of_kind(row.protocol, row.state)
        return FlowsQuery(netns.inode, terms)


def _fullest(view: View) -> Netns | None:
    """Return the namespace with the most entries: the limit is that of each namespace by itself."""
    tracking = [netns for netns in view.shown if netns.conntrack is not None]
    return max(tracking, key=lambda netns: netns.conntrack.count if netns.conntrack else 0, default=None)


def _usage_line(view: View, conntrack: Conntrack, width: int) -> Text:
    found = view.assessment.gauges.get(("conntrack-table", view.netns.name)) if view.netns else None
    share = conntrack.count / conntrack.maximum if conntrack.maximum else None
    load = conntrack.count / conntrack.buckets if conntrack.buckets else None
    line = Text.assemble(
        (fmt.count(conntrack.count), "strong"),
        (" / ", "faint"),
        (fmt.count(conntrack.maximum) if conntrack.maximum else "unlimited", "muted"),
        "  ",
    )
    tail = Text.assemble(("  load ", "muted"), "?" if load is None else f"{load:.2f}")
    if width >= 64:
        tail.append(" of ", "muted").append(f"{fmt.short(conntrack.buckets)} buckets", "muted")
    if share is not None:
        bar_cells = max(width - line.cell_len - tail.cell_len, 12)
        known = found or Gauge(conntrack.count, conntrack.maximum, share, None, None, "ok")
        line.append_text(usage_cell(known._replace(ratio=share), bar_cells, "conntrack-table"))
    return line.append_text(tail)


def _loss_rates(view: View) -> Text:
    """Return refused and dropped entries per second; normal is 0."""
    line = Text()
    for name in LOSSES:
        value = view.assessment.rates.get(("counter", f"conntrack.{name}"))
        style = "sev-hit" if value else "faint" if value is None else ""
        line.append(f"{name} ", "muted").append(fmt.pace(value), style).append("   ")
    return line


def _why_empty(view: View, conntrack: Conntrack) -> str:
    if conntrack.table is not None:
        return "the table is empty"
    return view.missing("conntrack table") or "the table has not been read yet"


def _unreplied(conntrack: Conntrack) -> Text:
    if conntrack.unreplied is None or not conntrack.count:
        return Text()
    return Text(f"unreplied {fmt.ratio(min(conntrack.unreplied / conntrack.count, 1.0))}", "muted")


def _entry_rows(conntrack: Conntrack) -> list[EntryRow]:
    table = conntrack.table or {}
    total = sum(table.values()) or 1
    lines = [EntryRow(name, entries, entries / total) for name, entries in table.items()]
    return sorted(lines, key=lambda line: -line.entries)
