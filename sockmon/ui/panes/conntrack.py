"""Pane 4: the connection table: how full, what is refused, what fills it."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.model.snapshot import Conntrack
from sockmon.ui.filter import ALL
from sockmon.ui.panes.pane import Pane, View, gauge, number
from sockmon.ui.styles import STATES
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.words import Words

KNOWN = {"state": ALL}
"""What the filter can ask of these rows."""
LOSSES = ("drop", "insert_failed", "early_drop")


class Line(NamedTuple):
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


def columns(width: int) -> tuple[Column[Line], ...]:
    """The columns for a table of that width: the bar takes the rest."""
    long = max(width - 42, 8)
    return (
        Column("PROTO", 6, lambda line: Text(line.protocol, "muted")),
        Column("STATE", 0, lambda line: Text(line.state or fmt.NOTHING, STATES.get(line.state, "faint"))),
        Column("ENTRIES", 9, lambda line: number(line.entries), lambda line: line.entries, "right"),
        Column("SHARE", 6, lambda line: Text(fmt.ratio(line.share), "muted"), lambda line: line.share, "right"),
        Column("", long, lambda line: bar(line.share, long, "ok")),
    )


class ConntrackPane(Pane):
    """Entries against nf_conntrack_max."""

    NAME, TITLE, NUMBER = "conntrack", "Conntrack", 4

    def compose(self) -> ComposeResult:
        yield Words(id="fill")
        yield Words(id="losses")
        yield Table(
            columns(60),
            lambda line: line.name,
            id="entries",
            columns_for=columns,
            given="entries",
            opens=False,
        )

    def show(self, view: View) -> None:
        conntrack = view.netns.conntrack if view.netns else None
        table: Table[Line] = self.query_one("#entries", Table)
        fill, losses = self.query_one("#fill", Words), self.query_one("#losses", Words)
        if conntrack is None:
            why = view.missing("conntrack") or "not read yet"
            fill.show(Text.assemble(("? ", "sev-unknown"), why))
            losses.show(Text())
            table.empty = ""
            table.show(())
            self.say()
            return
        fill.show(_fill(view, conntrack, table.size.width))
        losses.show(_losses(view))
        table.empty = _why_empty(view, conntrack)
        wanted = view.filter.known(KNOWN)
        table.show([line for line in _lines(conntrack) if wanted.matches({"state": line.name})])
        self.say(
            Text(view.filter.strange(KNOWN), "sev-warning"), _unreplied(conntrack), view.aged(conntrack.table_at)
        )


def _fill(view: View, conntrack: Conntrack, width: int) -> Text:
    key = ("conntrack-table", _subject(view))
    found = view.assessment.gauges.get(key)
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
        long = max(width - line.cell_len - tail.cell_len, 12)
        line.append_text(gauge(share, long, found.severity if found else "ok"))
    return line.append_text(tail)


def _subject(view: View) -> str:
    for ceiling, subject in view.assessment.gauges:
        if ceiling == "conntrack-table":
            return subject
    return ""


def _losses(view: View) -> Text:
    """What the table refused, a second; anything but 0 is trouble."""
    line = Text()
    for name in LOSSES:
        value = view.assessment.rates.get(("counter", f"conntrack.{name}"))
        style = "sev-hit" if value else "faint" if value is None else ""
        line.append(f"{name} ", "muted").append(fmt.pace(value), style).append("   ")
    return line


def _why_empty(view: View, conntrack: Conntrack) -> str:
    if conntrack.table is not None:
        return "no entry matches the filter" if view.filter else "the table is empty"
    return view.missing("conntrack table") or "the table was not walked yet"


def _unreplied(conntrack: Conntrack) -> Text:
    if conntrack.unreplied is None or not conntrack.count:
        return Text()
    return Text(f"unreplied {fmt.ratio(min(conntrack.unreplied / conntrack.count, 1.0))}", "muted")


def _lines(conntrack: Conntrack) -> list[Line]:
    table = conntrack.table or {}
    total = sum(table.values()) or 1
    lines = [Line(name, entries, entries / total) for name, entries in table.items()]
    return sorted(lines, key=lambda line: -line.entries)
