"""Pane 2: who holds the descriptors, and how near to the limit they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.assess import Assessment, Gauge
from sockmon.model.detail import ProcessFocus
from sockmon.model.report import URGENCY
from sockmon.model.snapshot import Process, Processes
from sockmon.ui.filter import ALL
from sockmon.ui.panes.pane import ALARMS, Pane, View, gauge, left, number
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.table import Column, Table

KNOWN = {"proc": ALL, "user": ALL, "state": ("CLOSE_WAIT",)}
"""What the filter can ask of a process."""
UNKNOWN = Gauge(None, None, None, None, None, "unknown")


class Line(NamedTuple):
    """A process and its `process-fds` gauge."""

    process: Process
    gauge: Gauge

    @property
    def style(self) -> str:
        """The colour of its numbers: its severity, where that is an alarm."""
        alarm = self.gauge.severity in ALARMS
        return LOOKS[self.gauge.severity].style if alarm else ""


def _ratio(line: Line) -> float | None:
    return line.gauge.ratio


def _left(line: Line) -> float | None:
    return left(line.gauge.severity, line.gauge.ratio, line.gauge.eta_seconds)


def _eta(line: Line) -> Text:
    if line.gauge.severity == "hit":
        return Text("now", line.style)
    seconds = _left(line)
    return Text(fmt.eta(seconds), style="faint" if seconds is None else line.style or "muted")


def _rate(line: Line) -> Text:
    growing = (line.gauge.rate or 0) >= 0.05
    return Text(fmt.rate(line.gauge.rate), style=line.style if growing else "faint")


def _limit(line: Line) -> Text:
    value = line.process.soft
    large = value is not None and value >= 1_000_000
    return Text(fmt.short(value) if large else fmt.limit(value), "sev-unknown" if value is None else "muted")


def _command(line: Line) -> Text:
    """The command line without the folder of its program; behind the name where the program is another one, as
    with interpreters."""
    name, command = line.process.name, line.process.command
    program, space, arguments = command.partition(" ")
    short = program.rpartition("/")[2]
    if not program.startswith("/") or not short:
        return Text(command, line.style)
    rest = f"{short}{space}{arguments}"
    if short.startswith(name) or name.startswith(short):
        return Text(rest, line.style)
    return Text.assemble((name, line.style), " ", (rest, line.style or "muted"))


def _sockets(line: Line) -> Text:
    return _about(line.process, number(line.process.sockets))


def _close_wait(line: Line) -> Text:
    return _about(line.process, number(line.process.close_wait, "state-close-wait"))


def _about(process: Process, text: Text) -> Text:
    """An estimate says that it is one."""
    return Text.assemble(("~", "muted"), text) if process.sampled else text


def _rss(line: Line) -> Text:
    return Text(fmt.size(line.process.rss), "muted")


def _of(get: Callable[[Process], int | None]) -> Callable[[Line], Text]:
    return lambda line: number(get(line.process))


def columns(width: int) -> tuple[Column[Line], ...]:
    """The columns for a table of that width: the bar grows with the room."""
    long = 20 if width >= 130 else 13
    return (
        Column("PID", 7, lambda row: Text(str(row.process.pid), "muted"), lambda row: row.process.pid, "right"),
        Column("USER", 8, lambda row: row.process.user, lambda row: row.process.user.casefold(), narrow=False),
        Column("COMMAND", 0, _command, lambda row: row.process.command.casefold()),
        Column("FDS", 7, lambda row: number(row.process.fds), lambda row: row.process.fds, "right"),
        Column("SOFT", 7, _limit, lambda row: row.process.soft, "right"),
        Column("USED", long, lambda row: gauge(row.gauge.ratio, long, row.gauge.severity), _ratio, largest=True),
        Column("RATE", 7, _rate, lambda row: row.gauge.rate, "right"),
        Column("LEFT", 7, _eta, _left, "right", largest=False),
        Column("SOCK", 7, _sockets, lambda row: row.process.sockets, "right", False),
        Column("CLOSE_W", 7, _close_wait, lambda row: row.process.close_wait, "right", False),
        Column("THR", 4, _of(lambda process: process.threads), lambda row: row.process.threads, "right", False),
        Column("RSS", 5, _rss, lambda row: row.process.rss, "right", False),
    )


class ProcessesPane(Pane):
    """All processes by headroom; opens one."""

    NAME, TITLE, NUMBER = "processes", "Processes", 2

    def compose(self) -> ComposeResult:
        yield Table(
            columns(80),
            _identity,
            id="process-table",
            columns_for=columns,
            flex=14,
            given="headroom",
        )

    def show(self, view: View) -> None:
        table: Table[Line] = self.query_one("#process-table", Table)
        processes = view.assessment.snapshot.processes
        if processes is None:
            table.empty = view.missing("processes") or "not read yet"
            table.show(())
            return
        lines = _lines(view.assessment, processes.rows)
        wanted = view.filter.known(KNOWN)
        shown = [line for line in lines if wanted.matches(_facts(line.process))] if wanted else lines
        table.empty = "no process matches the filter" if wanted else "no processes"
        table.show(shown)
        self.say(
            Text(view.filter.strange(KNOWN), "sev-warning"),
            _match(len(shown), len(lines)) if wanted else _seen(processes),
            view.aged(processes.owners_at),
        )

    def opens(self, row: Line) -> ProcessFocus:
        """The process."""
        return ProcessFocus(row.process.pid, row.process.start)


def _identity(line: Line) -> tuple[int, int]:
    return line.process.pid, line.process.start


def _lines(assessment: Assessment, processes: Sequence[Process]) -> list[Line]:
    """Processes, the least headroom first; those without a known ratio last."""
    gauges = assessment.gauges
    lines = [
        Line(process, gauges.get(("process-fds", f"{process.name}[{process.pid}]"), UNKNOWN))
        for process in processes
    ]
    lines.sort(key=_urgency)
    return lines


def _urgency(line: Line) -> tuple[int, float, int]:
    known = line.gauge.ratio if line.gauge.ratio is not None else -1.0
    return -URGENCY[line.gauge.severity], -known, line.process.pid


def _match(shown: int, total: int) -> Text:
    return Text(f"{shown} of {total} match", "accent")


def _seen(processes: Processes) -> Text:
    if processes.unseen:
        return Text(f"sockets of {processes.unseen:,} not seen", "sev-unknown")
    return Text(f"{len(processes.rows):,} processes", "muted")


def _facts(process: Process) -> dict[str, str]:
    return {
        "proc": f"{process.pid} {process.name} {process.command}",
        "user": process.user,
        "state": "CLOSE_WAIT" if process.close_wait else "",
    }
