"""Pane 1: TCP sockets by state and family, the other protocols, and connections opened per second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.model.snapshot import Sockstat, StateCount, States
from sockmon.ui.appearance.styles import STATES
from sockmon.ui.detail.sockets_place import SocketsPlace, of_protocol, of_state
from sockmon.ui.filtering.filter import ALL, Filterable, RowValues
from sockmon.ui.main.gauge_cells import number
from sockmon.ui.main.panes.pane import Jump, Pane, View
from sockmon.ui.main.panes.sums import sum_of_sockstat, sum_of_states, uncounted
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.text_line import TextLine

ORDER = (
    "ESTABLISHED", "TIME_WAIT", "CLOSE_WAIT", "SYN_RECV", "SYN_SENT", "FIN_WAIT1", "FIN_WAIT2",
    "LAST_ACK", "CLOSING", "LISTEN",
)  # fmt: skip
TREND_CELLS, NUMBER_CELLS = 10, 40
"""Cells of the shortest trend, and of the other columns."""
HARMLESS_STATES = {
    "ESTABLISHED": "Open connections.",
    "LISTEN": "Sockets that wait for connections.",
    "FIN_WAIT1": "This side has closed, and its FIN is not acknowledged yet.",
    "LAST_ACK": "Both sides have closed, and the last ACK has not come yet.",
    "CLOSING": "Both sides have closed at the same time.",
}
"""What a state means that is no symptom."""
STATE_TABLES = {
    "ESTABLISHED": Jump("", "process-table", "", "SOCK"),
    "CLOSE_WAIT": Jump("", "process-table", "state:CLOSE_WAIT", "CLOSE_W"),
    "TIME_WAIT": Jump("", "groups", "state:TIME_WAIT", "TIME_WAIT"),
    "SYN_SENT": Jump("", "groups", "", "RATE"),
    "LISTEN": Jump("", "queues", "state:LISTEN"),
    "SYN_RECV": Jump("", "queues", "state:LISTEN", "QUEUE"),
}
"""Where the owners of sockets in a state are listed."""
SS_STATE_NAMES = {"FIN_WAIT1": "fin-wait-1", "FIN_WAIT2": "fin-wait-2", "LAST_ACK": "last-ack"}
"""The names that ss has for states, if not the lower-case name."""
SS_COMMANDS = {"udp": "ss -uanp", "raw": "ss -wanp", "unix": "ss -xanp"}
"""Commands that list the sockets of a protocol; those of a TCP state: `ss -tan state NAME`."""

KNOWN = dict.fromkeys(("state", "proto", "count"), ALL)
"""What the filter knows about these rows."""


@cache
def _state_meanings() -> dict[str, str]:
    """Return what each state means: the first sentence of its symptom; of harmless states a text of our own."""
    from sockmon.explain.symptoms.states import STATES as SYMPTOMS

    return {
        row.name: f"{row.description.partition('. ')[0].removesuffix('.')}. More: sockmon explain {row.name}"
        for row in SYMPTOMS
    } | HARMLESS_STATES


class StateRow(NamedTuple):
    """A row: a TCP state or another protocol."""

    name: str
    style: str
    v4: int | None
    v6: int | None
    total: int | None
    trend: Callable[[int], Text]
    """The last minutes as a sparkline of so many cells."""
    families: bool = True
    """False if the protocol has no address family."""


def _family(value: int | None, line: StateRow) -> Text:
    return number(value, line.style) if line.families else Text(fmt.NOTHING, style="faint")


def trend_cells(width: int) -> int:
    """Return the cells of the trend in a table of that width."""
    return max(width - NUMBER_CELLS, TREND_CELLS)


def columns(width: int) -> tuple[Column[StateRow], ...]:
    """Return the columns for a table of that width; a wide one shows a longer trend instead of a gap."""
    cells = trend_cells(width)
    return (
        Column("TCP", 0, lambda row: Text(row.name, style=row.style)),
        Column("v4", 7, lambda row: _family(row.v4, row), lambda row: row.v4, "right"),
        Column("v6", 6, lambda row: _family(row.v6, row), lambda row: row.v6, "right", keep_when_narrow=False),
        Column("total", 7, lambda row: number(row.total, row.style), lambda row: row.total, "right"),
        Column("trend", cells, lambda row: row.trend(cells), keep_when_narrow=False),
    )


class SocketsPane(Pane):
    """TCP states, UDP, UNIX and RAW."""

    NAME, TITLE, NUMBER = "sockets", "Sockets", 1

    def __init__(self) -> None:
        super().__init__()
        self._netns = 0
        self._trend_cells = TREND_CELLS
        self._states = Table(
            columns(40),
            lambda row: row.name,
            id="states",
            columns_for=self._columns,
            filterable=Filterable(KNOWN, _filter_values),
            shown=self._shown,
        )
        self._opens = TextLine(id="opens")
        self.tables = (self._states,)

    def compose(self) -> ComposeResult:
        yield self._states
        yield self._opens

    @property
    def every_socket(self) -> SocketsPlace:
        """The list of all sockets of the namespaces that are shown."""
        return SocketsPlace(self._netns)

    def show(self, view: View) -> None:
        # The list begins with what the numbers count.
        self._netns = view.netns.inode if view.netns and len(view.shown) == 1 else 0
        table = self._states
        if view.netns is None:
            table.empty = view.missing("netns") or "no network namespace could be read"
            table.show(())
            return
        states = sum_of_states(view.shown)
        lines = (*_states(view, states), *_protocols(sum_of_sockstat(view.shown)))
        if states is None:
            table.empty = view.missing("states", "sock_diag") or "not read yet"
        table.set_filter(view.filter)
        table.show(lines)
        self._opens.show(_open_rates(view))
        age = view.aged(states.at if states else None)
        self.set_note(*self.filter_notes(view), _partial(view), age)

    def _columns(self, width: int) -> tuple[Column[StateRow], ...]:
        self._trend_cells = trend_cells(width)
        return columns(width)

    def _shown(self, row: StateRow) -> object:
        return row._replace(trend=_no_trend), row.trend(self._trend_cells).plain

    def target(self, row: StateRow) -> Jump:
        """Return the list of these sockets, and for a recording where their owners are."""
        listing = SS_COMMANDS.get(row.name) or f"ss -tan state {SS_STATE_NAMES.get(row.name, row.name.lower())}"
        count = f"{fmt.count(row.total)} sockets."
        message = f"{row.name}: {_state_meanings().get(row.name, count)}"
        protocol = row.name in SS_COMMANDS
        sockets = of_protocol(self._netns, row.name) if protocol else of_state(self._netns, row.name)
        holders = STATE_TABLES.get(row.name)
        if holders:
            return holders._replace(message=message, sockets=sockets)
        return Jump(f"{message} List them: {listing}", sockets=sockets)


def _filter_values(line: StateRow) -> RowValues:
    tcp = line.name in ORDER or line.name in STATES
    return {"state": line.name if tcp else None, "proto": "tcp" if tcp else line.name, "count": line.total}


def _partial(view: View) -> Text:
    """Return in how many of several namespaces the states were not counted."""
    left_out = uncounted(view.shown) if len(view.shown) > 1 else 0
    return Text(f"states of {left_out:,} netns not counted" if left_out else "", "sev-unknown")


def _trend(view: View, state: str, width: int) -> Text:
    if len(view.shown) > 1:
        # The namespaces whose states are known are not the same ones all the time.
        return _no_trend(width)
    return view.trend(("state", state), width, STATES.get(state, "spark"))


def _no_trend(width: int) -> Text:
    return Text()


def _states(view: View, states: States | None) -> Iterator[StateRow]:
    """Yield the states in a fixed order, so that rows do not move; a rare state only if it has sockets."""
    counted = states.tcp if states else {}
    rare = [name for name, count in counted.items() if name not in ORDER and count.total]
    nothing = StateCount(0, 0, 0) if states else None
    for name in (*ORDER, *rare):
        count = counted.get(name, nothing)
        style = STATES.get(name, "") if count and count.total else "muted"
        v4, v6, total = (count.v4, count.v6, count.total) if count else (None, None, None)
        trend = partial(_trend, view, name)
        yield StateRow(name, style, v4, v6, total, trend)


def _protocols(stat: Sockstat | None) -> Iterator[StateRow]:
    if stat is None:
        return
    pairs = (("udp", stat.udp_inuse, stat.udp6_inuse), ("raw", stat.raw_inuse, stat.raw6_inuse))
    for name, v4, v6 in pairs:
        total = None if v4 is None else v4 + (v6 or 0)
        yield StateRow(name, "", v4, v6, total, _no_trend)
    yield StateRow("unix", "", None, None, stat.unix, _no_trend, families=False)


def _open_rates(view: View) -> Text:
    """Return connections opened and accepted per second, and segments retransmitted; what failed and what was
    reset if there is any."""

    def pace(name: str) -> str:
        return fmt.pace(view.rate(f"Tcp.{name}"))

    troubles = (("failed ", "AttemptFails"), ("reset ", "EstabResets"))
    parts = (
        *(("out ", "ActiveOpens"), ("in ", "PassiveOpens"), ("retrans ", "RetransSegs")),
        *(part for part in troubles if view.rate(f"Tcp.{part[1]}")),
    )
    line = Text()
    for label, name in parts:
        line.append(label, "muted").append(pace(name)).append("  ")
    return line
