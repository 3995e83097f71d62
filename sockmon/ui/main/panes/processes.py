"""Pane 2: processes, and how near each is to its limit of open files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.assess import Gauge
from sockmon.model.detail import Detail, ProcessQuery
from sockmon.model.process_states import ProcessStatesDetail
from sockmon.model.severity import ALARMS, URGENCY
from sockmon.model.snapshot import Netns, Process, Processes
from sockmon.ui.context import app_context
from sockmon.ui.filtering.filter import Filterable, RowValues
from sockmon.ui.filtering.row_values import PROCESS, gauge_values, netns_values, process_values, seconds_left
from sockmon.ui.main.gauge_cells import UNKNOWN_GAUGE, alarm_style, eta_cell, number, rate_cell, usage_cell
from sockmon.ui.main.panes.pane import Jump, Pane, View
from sockmon.ui.main.panes.process_states import StateMatrix, StateRow
from sockmon.ui.widgets.table import Column, Table

CEILING = "process-fds"
MAX_COLUMNS = 99
"""Columns by which to scroll back to the first one."""


class ProcessRow(NamedTuple):
    """A process and its `process-fds` gauge."""

    process: Process
    gauge: Gauge
    netns: Netns | None = None
    """Its network namespace; None if there is only one, or if that is not known."""

    @property
    def style(self) -> str:
        """The style of its numbers: of its severity, if that is an alarm."""
        return alarm_style(self.gauge)


def _ratio(line: ProcessRow) -> float | None:
    return line.gauge.ratio


def _left(line: ProcessRow) -> float | None:
    return seconds_left(line.gauge)


def _eta(line: ProcessRow) -> Text:
    return eta_cell(line.gauge)


def _limit(line: ProcessRow) -> Text:
    value = line.process.soft
    large = value is not None and value >= 1_000_000
    return Text(fmt.short(value) if large else fmt.limit(value), "sev-unknown" if value is None else "muted")


def _command(line: ProcessRow) -> Text:
    """Return the command line without the directory of the program; behind the name if the program has another
    one, as an interpreter has."""
    name, command = line.process.name, line.process.command
    program, space, arguments = command.partition(" ")
    short = program.rpartition("/")[2]
    if not program.startswith("/") or not short:
        return Text(command, line.style)
    rest = f"{short}{space}{arguments}"
    if short.startswith(name) or name.startswith(short):
        return Text(rest, line.style)
    return Text.assemble((name, line.style), " ", (rest, line.style or "muted"))


def _sockets(line: ProcessRow) -> Text:
    return _marked_estimate(line.process, number(line.process.sockets))


def _close_wait(line: ProcessRow) -> Text:
    return _marked_estimate(line.process, number(line.process.close_wait, "state-close-wait"))


def _marked_estimate(process: Process, text: Text) -> Text:
    """Return a number, marked with ~ if it is estimated."""
    return Text.assemble(("~", "muted"), text) if process.sampled else text


def _rss(line: ProcessRow) -> Text:
    return Text(fmt.size(line.process.rss), "muted")


def _received(process: Process) -> int | None:
    return process.recv_queue


def _sent(process: Process) -> int | None:
    return process.send_queue


def _queue_of(get: Callable[[Process], int | None]) -> Callable[[ProcessRow], Text]:
    """Return the cell of bytes that wait in TCP sockets; a dash if none were found."""

    def cell(line: ProcessRow) -> Text:
        waiting = get(line.process)
        if waiting is None:
            return Text(fmt.NOTHING, "muted")
        return _marked_estimate(line.process, Text(fmt.size(waiting)))

    return cell


def _number_of(get: Callable[[Process], int | None]) -> Callable[[ProcessRow], Text]:
    return lambda line: number(get(line.process))


def _pid(line: ProcessRow) -> Text:
    return Text(str(line.process.pid), "muted")


QUEUES = (
    Column("RECV-Q", 7, _queue_of(_received), lambda row: _received(row.process), "right", False),
    Column("SEND-Q", 7, _queue_of(_sent), lambda row: _sent(row.process), "right", False),
)
WIDE = 150
"""Cells of a table that has room for `QUEUES`."""


def columns(width: int) -> tuple[Column[ProcessRow], ...]:
    """Return the columns for a table of that width; the bar grows with it."""
    cells = 20 if width >= 130 else 13
    return (
        Column("PID", 7, _pid, lambda row: row.process.pid, "right", pin=True),
        Column(
            "USER",
            8,
            lambda row: row.process.user,
            lambda row: row.process.user.casefold(),
            keep_when_narrow=False,
        ),
        Column("COMMAND", 0, _command, lambda row: row.process.command.casefold(), pin=True),
        Column("FDS", 7, lambda row: number(row.process.fds), lambda row: row.process.fds, "right"),
        Column("SOFT", 7, _limit, lambda row: row.process.soft, "right"),
        Column("USAGE", cells, lambda row: usage_cell(row.gauge, cells, CEILING), _ratio, largest_first=True),
        Column("RATE", 7, lambda row: rate_cell(row.gauge), lambda row: row.gauge.rate, "right"),
        Column("LEFT", 7, _eta, _left, "right", largest_first=False),
        Column("SOCK", 7, _sockets, lambda row: row.process.sockets, "right", False),
        Column("CLOSE_W", 7, _close_wait, lambda row: row.process.close_wait, "right", False),
        Column(
            "THR", 4, _number_of(lambda process: process.threads), lambda row: row.process.threads, "right", False
        ),
        Column("RSS", 5, _rss, lambda row: row.process.rss, "right", False),
        *(QUEUES if width >= WIDE else ()),
    )


class ProcessesPane(Pane):
    """All processes, the least headroom first; or their TCP sockets by state."""

    NAME, TITLE, NUMBER = "processes", "Processes", 2

    def __init__(self) -> None:
        super().__init__()
        self._matrix: StateMatrix | None = None
        """What is shown instead of the limits; None: the limits."""
        self._view: View | None = None
        self._rows: Sequence[ProcessRow] = ()
        self._rows_made_of: object = None
        self._table: Table[Any] = Table(
            columns(80),
            _identity,
            id="process-table",
            columns_for=columns,
            flex=14,
            default_order="headroom",
            filterable=Filterable(PROCESS, _filter_values),
            shown=_shown,
        )
        self.tables = (self._table,)

    def compose(self) -> ComposeResult:
        yield self._table

    def toggle_states(self) -> None:
        """Show a column for each TCP state, or the limits again."""
        self._matrix = None if self._matrix else StateMatrix()
        table = self._table
        table.listed.default_order = "sockets" if self._matrix else "headroom"
        # Rows of the other kind do not have these columns.
        table.show(())
        table.sort_by(None)
        table.show_columns(self._matrix.columns if self._matrix else columns)
        table.action_columns(-MAX_COLUMNS)
        self._name_order(table)
        if self._view:
            self.show(self._view)

    def answer(self, detail: Detail) -> None:
        """Take the counts by process and state, if they are shown."""
        if self._matrix is None or self._view is None or not isinstance(detail, ProcessStatesDetail):
            return
        if self._matrix.take(detail):
            self._table.show_columns(self._matrix.columns)
        self.show(self._view)

    def show(self, view: View) -> None:
        self._view = view
        if self._matrix:
            self._show_states(view, self._matrix)
            return
        table: Table[ProcessRow] = self._table
        processes = view.assessment.snapshot.processes
        if processes is None:
            table.empty = view.missing("processes") or "not read yet"
            table.show(())
            return
        # Processes are read less often than samples are taken.
        made_of = processes.rows, view.whole.gauges_by_query.get(CEILING), view.chosen, _places(view)
        if made_of != self._rows_made_of:
            self._rows, self._rows_made_of = _process_rows(view, processes.rows), made_of
        table.empty = "no processes"
        table.set_filter(view.filter)
        table.show(self._rows)
        coverage = Text() if table.listed.filtered else _coverage(processes, len(self._rows))
        self.set_note(*self.filter_notes(view), coverage, view.aged(processes.owners_at))

    def _show_states(self, view: View, matrix: StateMatrix) -> None:
        table: Table[StateRow] = self._table
        app = app_context(self)
        matrix.request(app, view)
        table.empty = matrix.why_empty(view)
        table.set_filter(view.filter)
        table.show(matrix.rows(view.whole.snapshot))
        self.set_note(*self.filter_notes(view), Text(matrix.note, "sev-unknown"), view.aged(matrix.at))

    def target(self, row: ProcessRow | StateRow) -> ProcessQuery | Jump:
        """Return the query of the process; for sockets without a process a message."""
        if isinstance(row, StateRow) and not row.pid:
            return Jump(row.meaning)
        return ProcessQuery(*_identity(row))


def _shown(line: ProcessRow | StateRow) -> object:
    return line if isinstance(line, StateRow) else (line.process, line.gauge)


def _identity(line: ProcessRow | StateRow) -> tuple[int, int]:
    return (line.pid, line.start) if isinstance(line, StateRow) else (line.process.pid, line.process.start)


def _process_rows(view: View, processes: Sequence[Process]) -> list[ProcessRow]:
    """Return the rows, the least headroom first; those without a known ratio last. If a namespace is chosen, only
    the processes in it."""
    assessment, spaces = view.whole, _spaces_of(view)
    first = view.every[0] if view.has_several else None
    lines = []
    for process in processes:
        netns = spaces.get(process.pid, first)
        if view.chosen and netns is not view.netns:
            continue
        gauge = assessment.gauge(CEILING, ProcessQuery(process.pid, process.start)) or UNKNOWN_GAUGE
        lines.append(ProcessRow(process, gauge, netns))
    lines.sort(key=_urgency)
    return lines


def _spaces_of(view: View) -> dict[int, Netns]:
    """Return the namespace of each process that is in another one than sockmon."""
    return {pid: netns for netns in view.every[1:] for pid in netns.pids}


def _places(view: View) -> object:
    """Return which processes are in which namespace, and which namespace is shown."""
    return view.netns and view.netns.inode, tuple(
        (netns.inode, netns.name, netns.pids) for netns in view.every[1:]
    )


def _urgency(line: ProcessRow) -> tuple[bool, int, float, int]:
    """Return the sort key. Processes of sockmon without an alarm come last: an idle host has few others."""
    known = line.gauge.ratio if line.gauge.ratio is not None else -1.0
    own = line.process.name.partition("-")[0] == "sockmon" and line.gauge.severity not in ALARMS
    return own, -URGENCY[line.gauge.severity], -known, line.process.pid


def _coverage(processes: Processes, shown: int) -> Text:
    if processes.unseen:
        return Text(f"{fmt.plural(processes.unseen, 'process')} not read", "sev-unknown")
    if processes.owners_known is not None and processes.owners_known < 1:
        return Text(f"owners of {fmt.ratio(processes.owners_known)}", "sev-unknown")
    return Text(fmt.plural(shown, "process"), "muted")


def _filter_values(line: ProcessRow | StateRow) -> RowValues:
    if isinstance(line, StateRow):
        return line.filter_values
    return process_values(line.process) | gauge_values(line.gauge) | netns_values(line.netns)
