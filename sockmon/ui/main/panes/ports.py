"""Pane 3: ephemeral ports by destination, and the listeners' accept queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from sockmon.model.snapshot import Listener, Netns, PortGroup, Ports
from sockmon.ui.filtering.filter import Filterable, RowValues
from sockmon.ui.filtering.row_values import (
    GROUP,
    LISTENER,
    gauge_values,
    group_values,
    listener_values,
    netns_values,
    seconds_left,
)
from sockmon.ui.main.gauge_cells import UNKNOWN_GAUGE, alarm_style, eta_cell, number, rate_cell, usage_cell
from sockmon.ui.main.panes.pane import Pane, View
from sockmon.ui.main.panes.port_use import PortUse, port_use
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.text_line import TextLine

GROUPS, QUEUES = "ephemeral-ports", "accept-queue"
"""The ceilings of the two tables."""


class GroupRow(NamedTuple):
    """A group of ports and its `ephemeral-ports` gauge."""

    group: PortGroup
    gauge: Gauge
    netns: Netns
    named: bool
    """Whether the name of the namespace is shown: there are several."""


class ListenerRow(NamedTuple):
    """A listener and its `accept-queue` gauge."""

    listener: Listener
    gauge: Gauge
    netns: Netns
    named: bool


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

    def __init__(self) -> None:
        super().__init__()
        self._range = TextLine(id="range")
        self._groups = Table(
            group_columns(80),
            _group_key,
            id="groups",
            columns_for=group_columns,
            flex=24,
            default_order="used",
            filterable=Filterable(GROUP, _group_filter_values),
            shown=lambda row: (row.group, row.gauge, row.netns.name, row.named),
        )
        self._queues = Table(
            queue_columns(80),
            _queue_key,
            id="queues",
            columns_for=queue_columns,
            flex=18,
            default_order="usage",
            filterable=Filterable(LISTENER, _listener_filter_values),
            shown=lambda row: (row.listener, row.gauge, row.netns.name, row.named),
        )
        self.tables = (self._groups, self._queues)

    def compose(self) -> ComposeResult:
        yield self._range
        yield from self.tables

    def show(self, view: View) -> None:
        self._show_groups(view)
        self._show_queues(view)
        filtered = self._groups.listed.filtered
        read = [netns.ports for netns in view.shown if netns.ports]
        oldest = min((ports.at for ports in read), default=None)
        rest = Text() if filtered else _groups_left_out(read)
        self.set_note(*self.filter_notes(view), rest, view.aged(oldest))

    def _show_groups(self, view: View) -> None:
        table, summary = self._groups, self._range
        read = [netns for netns in view.shown if netns.ports]
        if not read and len(view.shown) <= 1:
            why = view.missing("ports", "sock_diag") or _why_unread(view)
            table.empty = ""
            summary.show(Text.assemble(("? ", "sev-unknown"), ("ephemeral ports: ", "muted"), why))
            table.show(())
            return
        summary.show(_range(read[0].ports) if len(view.shown) == 1 and read[0].ports else _ranges(view.shown))
        table.empty = "no connections from the ephemeral range"
        table.set_filter(view.filter)
        table.show(_group_rows(view, read))

    def _show_queues(self, view: View) -> None:
        table = self._queues
        read = [netns for netns in view.shown if netns.listeners is not None]
        if not read:
            table.empty = f"? {view.missing('listeners', 'sock_diag') or 'not read yet'}"
            table.show(())
            return
        table.empty = "no listeners"
        table.set_filter(view.filter)
        table.show(_listener_rows(view, read))

    def target(self, row: GroupRow | ListenerRow) -> DetailQuery:
        """Return the query of a group or a listener."""
        if isinstance(row, GroupRow):
            return _group_query(row.netns, row.group)
        return _listener_query(row.netns, row.listener)


def _group_query(netns: Netns, group: PortGroup) -> GroupQuery:
    return GroupQuery(netns.inode, group.source, group.destination, group.port, group.device)


def _listener_query(netns: Netns, listener: Listener) -> ListenerQuery:
    return ListenerQuery(netns.inode, listener.inode)


def _group_rows(view: View, spaces: Iterable[Netns]) -> list[GroupRow]:
    """Return the groups of these namespaces, the largest first."""
    named = len(view.shown) > 1
    rows = []
    for netns in spaces:
        part = view.part(netns)
        for group in netns.ports.groups if netns.ports else ():
            gauge = part.gauge(GROUPS, _group_query(netns, group)) or UNKNOWN_GAUGE
            rows.append(GroupRow(group, gauge, netns, named))
    return sorted(rows, key=lambda row: -row.group.used) if named else rows


def _listener_rows(view: View, spaces: Iterable[Netns]) -> list[ListenerRow]:
    """Return the listeners of these namespaces, the fullest queue first."""
    named = len(view.shown) > 1
    rows = []
    for netns in spaces:
        part = view.part(netns)
        for listener in netns.listeners or ():
            gauge = part.gauge(QUEUES, _listener_query(netns, listener)) or _momentary_gauge(listener)
            rows.append(ListenerRow(listener, gauge, netns, named))
    rows.sort(key=lambda row: (-(row.gauge.ratio or 0), row.listener.protocol, row.listener.port))
    return rows


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


def _ranges(spaces: Sequence[Netns]) -> Text:
    """Return in how many of several namespaces the ports were counted, and how many each of the others uses at
    most."""
    left_out = [use for netns in spaces if not (use := port_use(netns)).exact]
    counted = len(spaces) - len(left_out)
    line = Text.assemble(
        ("ports of ", "muted"), (f"{counted:,} of {len(spaces):,}", "strong"), (" netns", "muted")
    )
    if fullest := max((use for use in left_out if use.ratio is not None), key=_ratio_of, default=None):
        line.append(" · each of the others uses at most ", "muted")
        line.append(f"{fullest.used:,} of {fullest.limit:,}")
    return line


def _ratio_of(use: PortUse) -> float:
    return use.ratio or 0.0


def _why_unread(view: View) -> str:
    """Return why the ports of the only shown namespace are not known."""
    use = port_use(view.netns) if view.netns else None
    if use is None or use.used is None or view.netns is None or view.netns.at is None:
        return "not read yet"
    return f"at most {use.used:,} of {fmt.count(use.limit)} in use; not read yet"


def _groups_left_out(read: Sequence[Ports]) -> Text:
    rest = sum(max(ports.groups_total - len(ports.groups), 0) for ports in read)
    if not rest:
        return Text()
    return Text(f"{rest:,} more groups: {sum(ports.other_used for ports in read):,} ports", "muted")


def _addresses(row: GroupRow) -> Text:
    style = alarm_style(row.gauge)
    source, arrow, destination = ports_of.group_label(row.group).partition(" → ")
    return Text.assemble(_prefix(row), (source, style or "muted"), (arrow, "faint"), (destination, style))


def _listener_name(row: ListenerRow) -> Text:
    return Text.assemble(_prefix(row), (queues.format_listener(row.listener), alarm_style(row.gauge)))


def _prefix(row: GroupRow | ListenerRow) -> Text:
    return Text(f"{row.netns.name}: " if row.named else "", alarm_style(row.gauge) or "accent")


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


def _group_key(row: GroupRow) -> GroupQuery:
    return _group_query(row.netns, row.group)


def _queue_key(row: ListenerRow) -> ListenerQuery:
    return _listener_query(row.netns, row.listener)


def _group_filter_values(row: GroupRow) -> RowValues:
    return group_values(row.group) | gauge_values(row.gauge) | netns_values(row.netns)


def _listener_filter_values(row: ListenerRow) -> RowValues:
    return listener_values(row.listener) | gauge_values(row.gauge) | netns_values(row.netns)
