"""Pane 3: ephemeral ports by destination, and the listeners' accept queues."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.assess import Gauge
from sockmon.ceilings import ports as ports_of
from sockmon.ceilings import queues
from sockmon.ceilings.evidence import process_label
from sockmon.model.detail import DetailQuery, GroupQuery, ListenerQuery
from sockmon.model.severity import Severity
from sockmon.model.snapshot import Listener, PortGroup, Ports
from sockmon.ui.filtering.filter import Filterable, RowValues
from sockmon.ui.filtering.row_values import (
    GROUP,
    LISTENER,
    gauge_values,
    group_values,
    listener_values,
    seconds_left,
)
from sockmon.ui.main.gauge_cells import UNKNOWN_GAUGE, alarm_style, eta_cell, number, rate_cell, usage_cell
from sockmon.ui.main.panes.pane import Pane, View
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.text_line import TextLine

GROUPS, QUEUES = "ephemeral-ports", "accept-queue"
"""The ceilings of the two tables."""


class GroupRow(NamedTuple):
    """A group of ports and its `ephemeral-ports` gauge."""

    group: PortGroup
    gauge: Gauge


class ListenerRow(NamedTuple):
    """A listener and its `accept-queue` gauge."""

    listener: Listener
    gauge: Gauge


def group_columns(width: int) -> tuple[Column[GroupRow], ...]:
    """Return the columns of the groups for a table of that width."""
    cells = 20 if width >= 80 else 14
    return (
        Column("SOURCE → DESTINATION", 0, _addresses, lambda row: row.group.destination, cut="middle", pin=True),
        Column("USED", 7, lambda row: number(row.group.used), lambda row: row.group.used, "right"),
        Column("USAGE", cells, lambda row: usage_cell(row.gauge, cells, GROUPS), _full, largest_first=True),
        Column("TIME_WAIT", 10, lambda row: _share(row.group), lambda row: row.group.time_wait, "right", False),
        Column("RATE", 8, lambda row: rate_cell(row.gauge), _rate, "right", False),
        Column("LEFT", 7, lambda row: eta_cell(row.gauge), _left, "right", largest_first=False),
    )


def queue_columns(width: int) -> tuple[Column[ListenerRow], ...]:
    """Return the columns of the listeners for a table of that width."""
    cells = 20 if width >= 80 else 14
    return (
        Column(
            "LISTENER", 0, lambda row: _listener_name(row), lambda row: row.listener.port, cut="middle", pin=True
        ),
        Column("OWNER", 16, _owned_by, lambda row: _owned_by(row).plain, keep_when_narrow=False, cut="middle"),
        Column("QUEUE", 7, lambda row: number(row.listener.queue), lambda row: row.listener.queue, "right"),
        Column("BACKLOG", 7, lambda row: Text(fmt.count(row.listener.backlog), "muted"), _backlog, "right"),
        Column("USAGE", cells, lambda row: usage_cell(row.gauge, cells, QUEUES), _full, largest_first=True),
    )


class PortsPane(Pane):
    """The port range, the port groups and the accept queues."""

    NAME, TITLE, NUMBER = "ports", "Ports", 3

    def compose(self) -> ComposeResult:
        self._inode = 0
        yield TextLine(id="range")
        yield Table(
            group_columns(80),
            _group_key,
            id="groups",
            columns_for=group_columns,
            flex=24,
            default_order="used",
            filterable=Filterable(GROUP, _group_filter_values),
        )
        yield Table(
            queue_columns(80),
            _queue_key,
            id="queues",
            columns_for=queue_columns,
            flex=18,
            default_order="usage",
            filterable=Filterable(LISTENER, _listener_filter_values),
        )

    def show(self, view: View) -> None:
        self._inode = view.netns.inode if view.netns else 0
        ports = view.netns.ports if view.netns else None
        self._show_groups(view, ports)
        self._show_queues(view)
        rest = Text() if self.query_one("#groups", Table).listed.filtered else _groups_left_out(ports)
        self.set_note(*self.filter_notes(view), rest, view.aged(ports.at if ports else None))

    def _show_groups(self, view: View, ports: Ports | None) -> None:
        table: Table[GroupRow] = self.query_one("#groups", Table)
        summary = self.query_one("#range", TextLine)
        if ports is None:
            why = view.missing("ports", "sock_diag") or "not read yet"
            table.empty = ""
            summary.show(Text.assemble(("? ", "sev-unknown"), ("ephemeral ports: ", "muted"), why))
            table.show(())
            return
        summary.show(_range(ports))
        table.empty = "no connections from the ephemeral range"
        groups = [GroupRow(group, self._gauge(view, group)) for group in ports.groups]
        table.set_filter(view.filter)
        table.show(groups)

    def _show_queues(self, view: View) -> None:
        table: Table[ListenerRow] = self.query_one("#queues", Table)
        listeners = view.netns.listeners if view.netns else None
        if listeners is None:
            table.empty = f"? {view.missing('listeners', 'sock_diag') or 'not read yet'}"
            table.show(())
            return
        table.empty = "no listeners"
        rows = [ListenerRow(listener, self._queue_gauge(view, listener)) for listener in listeners]
        rows.sort(key=lambda row: (-(row.gauge.ratio or 0), row.listener.protocol, row.listener.port))
        table.set_filter(view.filter)
        table.show(rows)

    def target(self, row: GroupRow | ListenerRow) -> DetailQuery:
        """Return the query of a group or a listener."""
        return self._group_query(row.group) if isinstance(row, GroupRow) else self._listener_query(row.listener)

    def _group_query(self, group: PortGroup) -> GroupQuery:
        return GroupQuery(self._inode, group.source, group.destination, group.port, group.device)

    def _listener_query(self, listener: Listener) -> ListenerQuery:
        return ListenerQuery(self._inode, listener.inode)

    def _gauge(self, view: View, group: PortGroup) -> Gauge:
        found = view.assessment.gauge(GROUPS, self._group_query(group))
        return found or UNKNOWN_GAUGE

    def _queue_gauge(self, view: View, listener: Listener) -> Gauge:
        """Return the gauge of the listener, or its queue of this sample."""
        return view.assessment.gauge(QUEUES, self._listener_query(listener)) or _momentary_gauge(listener)


def _momentary_gauge(listener: Listener) -> Gauge:
    """Return how full its queue is now; it holds one connection more than the backlog."""
    if listener.backlog is None:
        return Gauge(listener.queue, None, None, None, None, "unknown")
    share = listener.queue / (listener.backlog + 1)
    severity: Severity = "hit" if listener.queue > listener.backlog else "ok"
    return Gauge(listener.queue, listener.backlog, share, None, None, severity)


def _range(ports: Ports) -> Text:
    listening = len(ports.listening)
    parts = [
        Text(f"{ports.low}–{ports.high}", "strong"),
        Text.assemble(("usable ", "muted"), fmt.count(ports.usable)),
        Text.assemble((f"{ports.reserved} reserved", "muted" if not ports.reserved else "")),
        Text.assemble((f"{listening} listener{'' if listening == 1 else 's'} inside", "muted")),
    ]
    if ports.bound:
        parts.append(Text(f"{len(ports.bound)} bound", "muted"))
    return Text.assemble((" · ", "faint")).join(parts)


def _groups_left_out(ports: Ports | None) -> Text:
    if ports is None or ports.groups_total <= len(ports.groups):
        return Text()
    rest = ports.groups_total - len(ports.groups)
    return Text(f"{rest:,} more groups: {ports.other_used:,} ports", "muted")


def _addresses(row: GroupRow) -> Text:
    style = alarm_style(row.gauge)
    source, arrow, destination = ports_of.group_label(row.group).partition(" → ")
    return Text.assemble((source, style or "muted"), (arrow, "faint"), (destination, style))


def _listener_name(row: ListenerRow) -> Text:
    return Text(queues.format_listener(row.listener), alarm_style(row.gauge))


def _owned_by(row: ListenerRow) -> Text:
    owner = row.listener.owner
    return Text(process_label(owner)) if owner else Text(fmt.UNKNOWN, "sev-unknown")


def _share(group: PortGroup) -> Text:
    share = group.time_wait / group.used if group.used else 0.0
    return Text(fmt.ratio(share), "state-closing" if share else "faint")


def _rate(row: GroupRow) -> float | None:
    return row.gauge.rate


def _left(row: GroupRow) -> float | None:
    return seconds_left(row.gauge)


def _full(row: GroupRow | ListenerRow) -> float | None:
    return row.gauge.ratio


def _backlog(row: ListenerRow) -> int | None:
    return row.listener.backlog


def _group_key(row: GroupRow) -> tuple[str, str, int, str]:
    return row.group.source, row.group.destination, row.group.port, row.group.device


def _queue_key(row: ListenerRow) -> int:
    return row.listener.inode


def _group_filter_values(row: GroupRow) -> RowValues:
    return group_values(row.group) | gauge_values(row.gauge)


def _listener_filter_values(row: ListenerRow) -> RowValues:
    return listener_values(row.listener) | gauge_values(row.gauge)
