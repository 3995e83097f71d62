"""Pane 1: TCP sockets by state and family, the other protocols, and how fast connections come and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.assess import Assessment
from sockmon.model.snapshot import Sockstat, StateCount, States
from sockmon.ui.filter import ALL
from sockmon.ui.panes.pane import Pane, View, number
from sockmon.ui.styles import STATES
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.words import Words

ORDER = (
    "ESTABLISHED", "TIME_WAIT", "CLOSE_WAIT", "SYN_RECV", "SYN_SENT", "FIN_WAIT1", "FIN_WAIT2",
    "LAST_ACK", "CLOSING", "LISTEN",
)  # fmt: skip
TREND = 10
KNOWN = {"state": ALL}
"""What the filter can ask of these rows."""


class Line(NamedTuple):
    """A row: a TCP state or another protocol."""

    name: str
    style: str
    v4: int | None
    v6: int | None
    total: int | None
    trend: Text
    families: bool = True
    """False: the protocol has no address family."""


def _family(value: int | None, line: Line) -> Text:
    return number(value, line.style) if line.families else Text(fmt.NOTHING, style="faint")


COLUMNS: tuple[Column[Line], ...] = (
    Column("TCP", 0, lambda line: Text(line.name, style=line.style)),
    Column("v4", 7, lambda line: _family(line.v4, line), lambda line: line.v4, "right"),
    Column("v6", 6, lambda line: _family(line.v6, line), lambda line: line.v6, "right", narrow=False),
    Column("total", 7, lambda line: number(line.total, line.style), lambda line: line.total, "right"),
    Column("trend", TREND, lambda line: line.trend, narrow=False),
)


class SocketsPane(Pane):
    """TCP states, UDP, UNIX and RAW."""

    NAME, TITLE, NUMBER = "sockets", "Sockets", 1

    def compose(self) -> ComposeResult:
        yield Table(COLUMNS, lambda line: line.name, id="states", opens=False)
        yield Words(id="opens")

    def show(self, view: View) -> None:
        table: Table[Line] = self.query_one("#states", Table)
        if view.netns is None:
            table.empty = view.missing("netns") or "no network namespace could be read"
            table.show(())
            return
        lines = (*_states(view, view.netns.states), *_protocols(view.netns.sockstat))
        if view.netns.states is None:
            table.empty = view.missing("states", "sock_diag") or "not read yet"
        wanted = view.filter.known(KNOWN)
        table.show([line for line in lines if wanted.matches({"state": line.name})])
        self.query_one("#opens", Words).show(_opens(view.assessment))
        age = view.aged(view.netns.states.at if view.netns.states else None)
        self.say(Text(view.filter.strange(KNOWN), "sev-warning"), age)


def _states(view: View, states: States | None) -> Iterator[Line]:
    """The states in a fixed order, so that nothing moves; rare ones only where there are some."""
    counted = states.tcp if states else {}
    rare = [name for name, count in counted.items() if name not in ORDER and count.total]
    nothing = StateCount(0, 0, 0) if states else None
    for name in (*ORDER, *rare):
        count = counted.get(name, nothing)
        style = STATES.get(name, "") if count and count.total else "muted"
        v4, v6, total = (count.v4, count.v6, count.total) if count else (None, None, None)
        trend = view.trend(("state", name), TREND, STATES.get(name, "spark"))
        yield Line(name, style, v4, v6, total, trend)


def _protocols(stat: Sockstat) -> Iterator[Line]:
    pairs = (("udp", stat.udp_inuse, stat.udp6_inuse), ("raw", stat.raw_inuse, stat.raw6_inuse))
    for name, v4, v6 in pairs:
        total = None if v4 is None else v4 + (v6 or 0)
        yield Line(name, "", v4, v6, total, Text())
    yield Line("unix", "", None, None, stat.unix, Text(), families=False)


def _opens(assessment: Assessment) -> Text:
    """Connections opened and accepted a second, and segments sent again."""

    def pace(name: str) -> str:
        return fmt.pace(assessment.rates.get(("counter", f"Tcp.{name}")))

    parts = (("out ", "ActiveOpens"), ("in ", "PassiveOpens"), ("resent ", "RetransSegs"))
    line = Text()
    for label, name in parts:
        line.append(label, "muted").append(pace(name)).append("  ")
    return line
