"""Pane 3: ephemeral ports by destination, and the listeners' accept queues."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.assess import Gauge
from sockmon.ceilings import ports as ports_of
from sockmon.ceilings import queues
from sockmon.model.detail import Focus, GroupFocus, ListenerFocus
from sockmon.model.report import Severity
from sockmon.model.snapshot import Listener, PortGroup, Ports
from sockmon.ui.filter import ALL, Filter
from sockmon.ui.panes.pane import ALARMS, Pane, View, gauge, left, number
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.words import Words

GROUPS = {"port": ALL, "proc": ALL, "state": ("TIME_WAIT",)}
LISTENERS = {"port": ALL, "proc": ALL, "state": ALL}
"""What the filter can ask of a group of ports, and of a listener."""


class Group(NamedTuple):
    """A group of ports and its `ephemeral-ports` gauge."""

    group: PortGroup
    gauge: Gauge


class Queue(NamedTuple):
    """A listener and its `accept-queue` gauge."""

    listener: Listener
    gauge: Gauge


def group_columns(width: int) -> tuple[Column[Group], ...]:
    """The columns of the groups for a table of that width."""
    long = 20 if width >= 80 else 14
    return (
        Column("SOURCE → DESTINATION", 0, _pair, lambda row: row.group.destination, cut="middle"),
        Column("USED", 7, lambda row: number(row.group.used), lambda row: row.group.used, "right"),
        Column("FULL", long, lambda row: gauge(row.gauge.ratio, long, row.gauge.severity)),
        Column("TIME_WAIT", 10, lambda row: _share(row.group), lambda row: row.group.time_wait, "right", False),
        Column("RATE", 8, lambda row: _text(fmt.rate(row.gauge.rate), row.gauge), _rate, "right", False),
        Column("LEFT", 7, _eta, _left, "right", largest=False),
    )


def queue_columns(width: int) -> tuple[Column[Queue], ...]:
    """The columns of the listeners for a table of that width."""
    long = 20 if width >= 80 else 14
    return (
        Column("LISTENER", 0, lambda row: _where(row), lambda row: row.listener.port, cut="middle"),
        Column("OWNER", 16, _owned_by, lambda row: _owned_by(row).plain, narrow=False, cut="middle"),
        Column("QUEUE", 7, lambda row: number(row.listener.queue), lambda row: row.listener.queue, "right"),
        Column("BACKLOG", 7, lambda row: Text(fmt.count(row.listener.backlog), "muted"), None, "right"),
        Column("FULL", long, lambda row: gauge(row.gauge.ratio, long, row.gauge.severity), _full, largest=True),
    )


class PortsPane(Pane):
    """The port range, the groups, the accept queues; opens a group or a listener."""

    NAME, TITLE, NUMBER = "ports", "Ports", 3

    def compose(self) -> ComposeResult:
        self._inode = 0
        yield Words(id="range")
        yield Table(
            group_columns(80),
            _group_key,
            id="groups",
            columns_for=group_columns,
            flex=24,
            given="used",
        )
        yield Table(
            queue_columns(80),
            _queue_key,
            id="queues",
            columns_for=queue_columns,
            flex=18,
            given="fullness",
        )

    def show(self, view: View) -> None:
        self._inode = view.netns.inode if view.netns else 0
        ports = view.netns.ports if view.netns else None
        self._show_groups(view, ports)
        self._show_queues(view)
        rest = Text() if view.filter.known(GROUPS) else _rest(ports)
        self.say(_strange(view.filter), rest, view.aged(ports.at if ports else None))

    def _show_groups(self, view: View, ports: Ports | None) -> None:
        table: Table[Group] = self.query_one("#groups", Table)
        summary = self.query_one("#range", Words)
        if ports is None:
            why = view.missing("ports", "sock_diag") or "not read yet"
            table.empty = ""
            summary.show(Text.assemble(("? ", "sev-unknown"), ("ephemeral ports: ", "muted"), why))
            table.show(())
            return
        summary.show(_range(ports))
        wanted = view.filter.known(GROUPS)
        table.empty = "no group matches the filter" if wanted else "no connections out of the ephemeral range"
        groups = [Group(group, _gauge(view, "ephemeral-ports", ports_of.subject(group))) for group in ports.groups]
        table.show([row for row in groups if wanted.matches(_group_facts(row.group))])

    def _show_queues(self, view: View) -> None:
        table: Table[Queue] = self.query_one("#queues", Table)
        listeners = view.netns.listeners if view.netns else None
        if listeners is None:
            table.empty = f"? {view.missing('listeners', 'sock_diag') or 'not read yet'}"
            table.show(())
            return
        wanted = view.filter.known(LISTENERS)
        table.empty = "no listener matches the filter" if wanted else "nothing listens here"
        rows = [Queue(listener, _queue_gauge(view, listener)) for listener in listeners]
        rows.sort(key=lambda row: (-(row.gauge.ratio or 0), row.listener.protocol, row.listener.port))
        table.show([row for row in rows if wanted.matches(_listener_facts(row.listener))])

    def opens(self, row: Group | Queue) -> Focus:
        """The group's sockets, or the listener."""
        if isinstance(row, Group):
            group = row.group
            return GroupFocus(self._inode, group.source, group.destination, group.port)
        return ListenerFocus(self._inode, row.listener.inode)


def _gauge(view: View, ceiling: str, name: str) -> Gauge:
    return view.assessment.gauges.get((ceiling, name), Gauge(None, None, None, None, None, "unknown"))


def _queue_gauge(view: View, listener: Listener) -> Gauge:
    """The listener's gauge, else its fill of the moment: one connection more than the backlog fits."""
    known = view.assessment.gauges.get(("accept-queue", queues.subject(listener)))
    if known:
        return known
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


def _rest(ports: Ports | None) -> Text:
    if ports is None or ports.groups_total <= len(ports.groups):
        return Text()
    rest = ports.groups_total - len(ports.groups)
    return Text(f"{rest:,} more groups: {ports.other_used:,}", "muted")


def _strange(wanted: Filter) -> Text:
    """Of which table the filter knows nothing."""
    groups, listeners = wanted.strange(GROUPS, "groups"), wanted.strange(LISTENERS, "listeners")
    both = wanted.strange(GROUPS) if groups and listeners else ""
    return Text(both or groups or listeners, "sev-warning")


def _pair(row: Group) -> Text:
    style = _alarm(row.gauge)
    source, arrow, destination = ports_of.subject(row.group).partition(" → ")
    return Text.assemble((source, style or "muted"), (arrow, "faint"), (destination, style))


def _where(row: Queue) -> Text:
    return Text(queues.place(row.listener), _alarm(row.gauge))


def _owned_by(row: Queue) -> Text:
    owner = row.listener.owner
    return Text(f"{owner.name}[{owner.pid}]") if owner else Text(fmt.UNKNOWN, "sev-unknown")


def _alarm(reading: Gauge) -> str:
    return LOOKS[reading.severity].style if reading.severity in ALARMS else ""


def _text(text: str, reading: Gauge) -> Text:
    return Text(text, _alarm(reading) or ("faint" if text in (fmt.NOTHING, fmt.NEVER, "0/s") else ""))


def _share(group: PortGroup) -> Text:
    share = group.time_wait / group.used if group.used else 0.0
    return Text(fmt.ratio(share), "state-closing" if share else "faint")


def _rate(row: Group) -> float | None:
    return row.gauge.rate


def _left(row: Group) -> float | None:
    return left(row.gauge.severity, row.gauge.ratio, row.gauge.eta_seconds)


def _eta(row: Group) -> Text:
    return _text("now" if row.gauge.severity == "hit" else fmt.eta(_left(row)), row.gauge)


def _full(row: Queue) -> float | None:
    return row.gauge.ratio


def _group_key(row: Group) -> tuple[str, str, int]:
    return row.group.source, row.group.destination, row.group.port


def _queue_key(row: Queue) -> int:
    return row.listener.inode


def _group_facts(group: PortGroup) -> dict[str, str]:
    owners = " ".join(f"{owner.pid} {owner.name}" for owner in group.owners)
    return {
        "port": str(group.port),
        "proc": owners,
        "address": f"{group.source} {group.destination}",
        "state": "TIME_WAIT" if group.time_wait else "",
    }


def _listener_facts(listener: Listener) -> dict[str, str]:
    owner = f"{listener.owner.pid} {listener.owner.name}" if listener.owner else ""
    return {"port": str(listener.port), "proc": owner, "address": listener.address, "state": "LISTEN"}
