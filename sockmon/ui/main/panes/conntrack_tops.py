"""Who fills the connection table: the largest sources, destinations, ports, groups and zones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.text import Text
from textual.containers import Container, VerticalScroll
from textual.widget import Widget

from sockmon import format as fmt
from sockmon.model.conntrack_tops import ConntrackTops, Top, TopRow
from sockmon.ui.filtering.filter import Filter, Filterable
from sockmon.ui.filtering.flow_terms import known_of_tops, top_values
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.table import Column, Table

WIDE_COLUMNS = 110
"""Cells of the pane from which on three tables are next to each other."""
FRAME_LINES = 3
"""Lines of a table that are not rows: its heading and its frame."""


class Share(NamedTuple):
    """A row of tops, and its share of the table."""

    row: TopRow
    share: float


def name_text(row: TopRow) -> Text:
    """Return what the entries have in common: an address, `tcp 443`, `10.0.0.7 → 192.0.2.1:443 tcp`, a zone."""
    if row.zone is not None:
        return Text(f"zone {row.zone}")
    if row.source is not None and row.destination is not None:
        there = f"[{row.destination}]" if ":" in row.destination and row.port is not None else row.destination
        port = "" if row.port is None else f":{row.port}"
        return Text.assemble(row.source, (" → ", "faint"), f"{there}{port} ", (row.protocol or "", "muted"))
    if row.protocol is not None:
        return Text.assemble((f"{row.protocol} ", "muted"), "" if row.port is None else str(row.port))
    return Text(row.source or row.destination or "")


def entries_text(row: TopRow) -> Text:
    """Return the number of entries; `≥` if some may not have been counted."""
    return Text(f"≥{row.entries:,}" if row.missed else fmt.count(row.entries))


class TopTable(Table[Share]):
    """The largest of one kind; Enter opens the flows of a row."""

    def __init__(self, kind: str, title: str, heading: str, fields: Sequence[str], of: Callable[..., Top]) -> None:
        self.title = title
        self.top_of = of

        def columns(width: int) -> list[Column[Share]]:
            bar_cells = min(width - (62 if "→" in heading else 38), 30)
            shown: list[Column[Share]] = [
                Column(heading, 0, lambda row: name_text(row.row), _name, cut="middle", pin=True),
                Column("ENTRIES", 9, lambda row: entries_text(row.row), lambda row: row.row.entries, "right"),
                Column("SHARE", 5, _share_text, lambda row: row.share, "right"),
            ]
            if bar_cells >= 6:
                shown.append(Column("", bar_cells, lambda row: bar(row.share, bar_cells, style="spark")))
            return shown

        super().__init__(
            columns(80),
            lambda row: (row.row.source, row.row.destination, row.row.protocol, row.row.port, row.row.zone),
            id=f"top-{kind}",
            classes="panel top",
            columns_for=columns,
            filterable=Filterable(known_of_tops(*fields), lambda row: top_values(row.row)),
        )

    def show_top(self, tops: ConntrackTops, wanted: Filter) -> None:
        """Show the largest of the kind, how many there are, and what they leave out."""
        top, whole = self.top_of(tops), max(tops.entries, 1)
        self.set_filter(wanted)
        self.show([Share(row, row.entries / whole) for row in top.rows])
        distinct = "many" if top.distinct is None else f"{top.distinct:,}"
        self.border_title = self.title if top.distinct == len(top.rows) else f"{self.title} · of {distinct}"
        rest = f"others {fmt.ratio(top.others / whole)}" if top.others else ""
        self.border_subtitle = self.listed.ignored_terms or rest


def _share_text(share: Share) -> Text:
    return Text(fmt.ratio(share.share), "muted")


def _name(share: Share) -> str:
    return name_text(share.row).plain


class Tops(VerticalScroll, can_focus=False):
    """All tables of tops: in rows of three, or below each other if there is no room."""

    def compose(self) -> Iterator[Widget]:
        with Container(classes="tops-row"):
            yield TopTable("sources", "Sources", "SOURCE", ("src",), lambda tops: tops.sources)
            yield TopTable("destinations", "Destinations", "DESTINATION", ("dst",), lambda tops: tops.destinations)
            yield TopTable("ports", "Ports", "PORT", ("proto", "dport", "port"), lambda tops: tops.ports)
        with Container(classes="tops-row"):
            fields = ("src", "dst", "proto", "dport", "port")
            yield TopTable("groups", "Groups", "SOURCE → DESTINATION", fields, lambda tops: tops.groups)
            yield TopTable("zones", "Zones", "ZONE", ("zone",), lambda tops: tops.zones)

    def show_tops(self, tops: ConntrackTops, wanted: Filter, width: int) -> int:
        """Show the tops, and return the lines that they need."""
        self.query_one("#top-zones").display = any(row.zone for row in tops.zones.rows)
        wide = width >= WIDE_COLUMNS
        lines = 0
        for box in self.query(".tops-row"):
            tables = [table for table in box.query(TopTable) if table.display]
            for table in tables:
                table.show_top(tops, wanted)
            heights = [max(len(table.rows), 1) + FRAME_LINES for table in tables]
            box.set_class(wide, "-wide")
            box.styles.height = height = max(heights) if wide else sum(heights)
            for table, own in zip(tables, heights, strict=True):
                table.styles.height = height if wide else own
            lines += height
        return lines
