"""Pane 2 by state: a row for each process with TCP sockets, a column for each state that occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from sockmon import format as fmt
from sockmon.model.process_states import ProcessStatesDetail, ProcessStatesQuery
from sockmon.model.snapshot import Process, Snapshot
from sockmon.ui.appearance.styles import STATES
from sockmon.ui.context import AppContext
from sockmon.ui.filtering.filter import RowValues
from sockmon.ui.filtering.row_values import process_values
from sockmon.ui.main.panes.pane import View
from sockmon.ui.widgets.table import Column

ASK_SECONDS = 2.0
TITLES = {
    "ESTABLISHED": "ESTAB",
    "CLOSE_WAIT": "CLOSE_W",
    "LISTEN": "LISTEN",
    "SYN_SENT": "SYN_SEN",
    "SYN_RECV": "SYN_REC",
    "FIN_WAIT1": "FIN_W1",
    "FIN_WAIT2": "FIN_W2",
    "LAST_ACK": "LAST_AC",
    "CLOSING": "CLOSING",
    "CLOSE": "CLOSE",
    "TIME_WAIT": "TIME_W",
}
"""TCP state → the heading of its column, in the order of the columns."""
KERNEL = "no process has these: in TIME_WAIT, not accepted yet, or closed and not finished"
UNKNOWN = "of processes whose descriptors could not be read, or opened since they were read"


class StateRow(NamedTuple):
    """The TCP sockets of a process; `pid` 0: of none."""

    pid: int
    start: int
    name: str
    command: str
    user: str
    states: Mapping[str, int]
    estimated: bool
    meaning: str
    """What the row is, if it is no process."""
    filter_values: RowValues

    @property
    def total(self) -> int:
        """Sockets in all states."""
        return sum(self.states.values())


class StateMatrix:
    """The newest answer, and the rows and columns that it makes."""

    def __init__(self) -> None:
        self._detail: ProcessStatesDetail | None = None
        self._query = ProcessStatesQuery()
        self._states: set[str] = set()
        """States that have a column."""
        self._asked = float("-inf")
        self._answerable = True

    @property
    def at(self) -> float | None:
        """When the sockets were read."""
        return self._detail.at if self._detail else None

    @property
    def note(self) -> str:
        """What could not be read, in a few words."""
        return "; ".join(item.reason for item in self._detail.missing) if self._detail else ""

    def request(self, app: AppContext, view: View) -> None:
        """Ask for new counts, at most every ASK_SECONDS; the agent answers with older ones if they are
        expensive."""
        now = view.assessment.snapshot.at
        wanted = ProcessStatesQuery(view.netns.inode if view.chosen and view.netns else 0)
        if wanted != self._query:
            self._query, self._detail, self._asked = wanted, None, float("-inf")
        if now - self._asked < ASK_SECONDS or (app.paused and self._detail):
            return
        self._asked = now
        self._answerable = app.ask(wanted)

    def take(self, detail: ProcessStatesDetail) -> bool:
        """Take an answer, unless it is about other namespaces; return whether it has a state without a column. A
        column stays, so that the others do not move when the last socket leaves its state."""
        if detail.query != self._query:
            return False
        self._detail, before = detail, len(self._states)
        self._states.update(state for state, sockets in detail.total.items() if sockets)
        return len(self._states) > before

    def why_empty(self, view: View) -> str:
        """Return why there are no rows."""
        if not self._answerable:
            return "not in a recording: who has the sockets is dumped on request"
        if self._detail is None:
            return "reading…"
        return self.note or "no process has TCP sockets"

    def rows(self, snapshot: Snapshot) -> Sequence[StateRow]:
        """Return a row for each process with TCP sockets, the most first, then those of no process."""
        detail = self._detail
        if detail is None:
            return ()
        known = {(row.pid, row.start): row for row in snapshot.processes.rows} if snapshot.processes else {}
        rows = [
            _process_row(row.pid, row.start, row.name, row.states, row.estimated, known.get((row.pid, row.start)))
            for row in detail.rows
        ]
        for name, states, meaning in (("(kernel)", detail.kernel, KERNEL), ("(unknown)", detail.unknown, UNKNOWN)):
            if states:
                start = -len(rows)  # A key of its own: no process has pid 0.
                rows.append(
                    StateRow(0, start, name, f"{name} {meaning}", "", states, False, meaning, _values(name))
                )
        return rows

    def columns(self, width: int) -> tuple[Column[StateRow], ...]:
        """Return the columns: one for each state that occurs."""
        return (
            Column("PID", 7, _pid, lambda row: row.pid or None, "right", pin=True),
            Column("USER", 8, lambda row: row.user, lambda row: row.user.casefold(), keep_when_narrow=False),
            Column("COMMAND", 0, _command, lambda row: row.command.casefold(), pin=True),
            Column("TCP", 7, _total, lambda row: row.total, "right"),
            *(_state_column(state, title) for state, title in TITLES.items() if state in self._states),
        )


def _process_row(
    pid: int, start: int, name: str, states: Mapping[str, int], estimated: bool, process: Process | None
) -> StateRow:
    command, user = (process.command, process.user) if process else (name, "")
    values = process_values(process) if process else _values(name)
    in_states = tuple(state for state, sockets in states.items() if sockets)
    return StateRow(pid, start, name, command, user, states, estimated, "", {**values, "state": in_states})


def _values(name: str) -> RowValues:
    return {"proc": name}


def _state_column(state: str, title: str) -> Column[StateRow]:
    def cell(row: StateRow) -> Text:
        sockets = row.states.get(state, 0)
        return _number(row, sockets, STATES.get(state, ""))

    return Column(title, 7, cell, lambda row: row.states.get(state, 0), "right")


def _number(row: StateRow, sockets: int, style: str) -> Text:
    """Return a number, with ~ if it is an estimate; 0 is usual, and faint."""
    if not sockets:
        return Text(fmt.count(0), "faint")
    return Text.assemble(("~" if row.estimated else "", "muted"), (_short(sockets), style))


def _short(sockets: int) -> str:
    return fmt.count(sockets) if sockets < 100_000 else fmt.short(sockets)


def _total(row: StateRow) -> Text:
    return _number(row, row.total, "strong")


def _pid(row: StateRow) -> Text:
    return Text(str(row.pid) if row.pid else fmt.NOTHING, "muted")


def _command(row: StateRow) -> Text:
    if not row.pid:
        return Text(row.command, "muted")
    program, space, arguments = row.command.partition(" ")
    short = program.rpartition("/")[2] if program.startswith("/") else program
    return Text(f"{short or program}{space}{arguments}")
