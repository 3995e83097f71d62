"""Pane 5: the network namespaces of the host, each with the limit that it is nearest to.

The other panes show the one that is chosen here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.model.report import Reading
from sockmon.model.severity import URGENCY
from sockmon.model.snapshot import Listener, Netns, Snapshot
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.filtering.filter import Filterable, RowValues
from sockmon.ui.filtering.row_values import NETNS, gauge_values, netns_values
from sockmon.ui.main.gauge_cells import alarm_style, number, usage_bar
from sockmon.ui.main.header import in_steps, not_watched
from sockmon.ui.main.panes.pane import ChooseNetns, Pane, View
from sockmon.ui.main.panes.port_use import PortUse, port_use
from sockmon.ui.widgets.table import Column, Table

WIDE, MEDIUM = 140, 100
"""Cells of a table that has room for longer names, bars and titles."""
OLD_SECONDS = 10.0
"""Age from which on it is shown: namespaces are read in turn, every few seconds."""
PANE_OF_CEILING = {
    "ephemeral-ports": "ports",
    "bound-ports": "ports",
    "accept-queue": "ports",
    "conntrack-table": "conntrack",
    "conntrack-buckets": "conntrack",
    "snat-ports": "conntrack",
}
"""Ceiling → the pane that shows it; the others are shown by pane 1 best."""


class NamespaceRow(NamedTuple):
    """A network namespace."""

    netns: Netns
    processes: int | None
    """Visible processes in it; None if not known."""
    nearest: Reading | None
    """The reading of its own limits that is most urgent; None if none could be judged."""
    ports: PortUse
    queue: Listener | None
    """The listener whose accept queue is fullest; None if there is none, or if that is not known."""
    age: float
    """Seconds since its sockets and counters were read."""
    chosen: bool
    """Whether the other panes show it."""

    @property
    def style(self) -> str:
        """The style of its nearest limit, if that is an alarm."""
        return alarm_style(self.nearest) if self.nearest else ""


def namespace_rows(view: View) -> list[NamespaceRow]:
    """Return a row for each namespace, the one that is nearest to a limit first."""
    snapshot = view.assessment.snapshot
    rows = []
    for netns in view.every:
        part = view.whole.parts.get(netns.inode, view.whole)
        own = (row for row in part.report.readings if row.netns is not None)
        rows.append(
            NamespaceRow(
                netns=netns,
                processes=_count_processes(netns, snapshot),
                nearest=next((row for row in own if row.severity != "unknown"), None),
                ports=port_use(netns),
                queue=_fullest(netns.listeners or ()),
                age=0.0 if netns.at is None else max(snapshot.at - netns.at, 0.0),
                chosen=view.chosen and view.netns is not None and view.netns.inode == netns.inode,
            )
        )
    rows.sort(key=_urgency)
    return rows


def _count_processes(netns: Netns, snapshot: Snapshot) -> int | None:
    """Return the processes in a namespace; of the first those that are in no other one."""
    if netns.processes is not None or netns is not snapshot.netns[0] or snapshot.processes is None:
        return netns.processes
    elsewhere = [other.processes for other in snapshot.netns[1:]]
    elsewhere.append(snapshot.other_netns.processes if snapshot.other_netns else 0)
    if None in elsewhere:
        return None
    return max(len(snapshot.processes.rows) - sum(number or 0 for number in elsewhere), 0)


def _fullest(listeners: Sequence[Listener]) -> Listener | None:
    known = [row for row in listeners if row.backlog is not None and row.protocol == "tcp"]
    return max(known, key=lambda row: row.queue / ((row.backlog or 0) + 1), default=None)


def _urgency(row: NamespaceRow) -> tuple[float, ...]:
    found = row.nearest
    if found is None:
        return 1.0, 0.0
    return -URGENCY[found.severity], -(found.ratio or 0.0) if found.used else 0.0


def columns(width: int) -> tuple[Column[NamespaceRow], ...]:
    """Return the columns for a table of that width."""
    wide = width >= WIDE
    bar_cells = 20 if wide else 8 if width >= MEDIUM else 5
    title_cells = max(map(len, TITLES.values())) + 2 if wide else 20
    return (
        Column("NAMESPACE", 0, _name, lambda row: row.netns.name.casefold(), cut="middle", pin=True),
        Column("KIND", 14 if wide else 10, _kind, lambda row: _kind(row).plain, keep_when_narrow=False),
        Column("PROC", 5, _processes, lambda row: row.processes, "right", width >= MEDIUM),
        Column("SOCK", 7, _sockets, _sockets_used, "right", width >= MEDIUM),
        Column("PORTS", 13, lambda row: _ports(row, 13), lambda row: row.ports.ratio, "right"),
        Column("QUEUE", 9, _queue, _queue_ratio, "right"),
        Column("CONNTRACK", 9, _conntrack, _entries, "right", width >= MEDIUM),
        Column("NEAREST LIMIT", title_cells, _nearest, lambda row: _nearest(row).plain),
        Column("USAGE", bar_cells, lambda row: _bar(row, bar_cells), _ratio, largest_first=True),
        Column("FULL", 6 if wide else 5, _full, _ratio, "right"),
        Column("AGE", 5, _age, lambda row: row.age, "right", keep_when_narrow=False),
    )


def _name(row: NamespaceRow) -> Text:
    if row.chosen:
        return Text.assemble((row.netns.name, row.style or "accent"), (" shown", "accent"))
    return Text(row.netns.name, row.style)


def _kind(row: NamespaceRow) -> Text:
    return Text(row.netns.runtime or row.netns.kind or fmt.NOTHING, "muted")


def _processes(row: NamespaceRow) -> Text:
    return number(row.processes)


def _sockets_used(row: NamespaceRow) -> int | None:
    return row.netns.sockstat.used if row.netns.sockstat else None


def _sockets(row: NamespaceRow) -> Text:
    return number(_sockets_used(row))


def _ports(row: NamespaceRow, width: int) -> Text:
    """Return used and limit of the fullest group of ports; `≤` if the groups were not read."""
    used, limit, exact = row.ports
    if used is None:
        return Text(fmt.UNKNOWN, "sev-unknown")
    sign, total = "" if exact else "≤", fmt.count(limit)
    if len(sign) + len(fmt.count(used)) + 1 + len(total) > width:
        total = fmt.short(limit)
    return Text.assemble((sign, "muted"), number(used), ("/", "faint"), (total, "muted"))


def _queue_ratio(row: NamespaceRow) -> float | None:
    return None if row.queue is None else row.queue.queue / ((row.queue.backlog or 0) + 1)


def _queue(row: NamespaceRow) -> Text:
    if row.netns.listeners is None:
        return Text(fmt.UNKNOWN, "sev-unknown")
    if row.queue is None:
        return Text(fmt.NOTHING, "faint")
    backlog = fmt.short(row.queue.backlog)
    return Text.assemble(number(row.queue.queue), ("/", "faint"), (backlog, "muted"))


def _entries(row: NamespaceRow) -> int | None:
    return row.netns.conntrack.count if row.netns.conntrack else None


def _conntrack(row: NamespaceRow) -> Text:
    entries = _entries(row)
    return Text(fmt.NOTHING, "faint") if entries is None else number(entries)


def _nearest(row: NamespaceRow) -> Text:
    found = row.nearest
    if found is None:
        return Text("? not known", "sev-unknown")
    style = SEVERITY_STYLES[found.severity]
    return Text(f"{style.glyph} {TITLES[found.ceiling]}", style.style)


def _bar(row: NamespaceRow, cells: int) -> Text:
    return usage_bar(row.nearest, cells, row.nearest.ceiling) if row.nearest else Text()


def _ratio(row: NamespaceRow) -> float | None:
    return row.nearest.ratio if row.nearest else None


def _full(row: NamespaceRow) -> Text:
    return Text(fmt.ratio(_ratio(row)), row.style or "muted") if row.nearest else Text()


def _age(row: NamespaceRow) -> Text:
    """Return the age of what is old, in steps: an age alone must not redraw a row at each tick."""
    return Text(fmt.age(in_steps(row.age)) if row.age >= OLD_SECONDS else "", "muted")


class NamespacesPane(Pane):
    """All network namespaces, the one that is nearest to a limit first."""

    NAME, TITLE, NUMBER = "namespaces", "Namespaces", 5

    def __init__(self) -> None:
        super().__init__()
        self._table = Table(
            columns(160),
            lambda row: row.netns.inode,
            id="namespace-table",
            columns_for=columns,
            flex=16,
            default_order="nearest limit",
            filterable=Filterable(NETNS, _filter_values),
            shown=_shown,
        )
        self.tables = (self._table,)

    def compose(self) -> ComposeResult:
        yield self._table

    def place(self, view: View) -> str:
        """Return nothing: it always shows all."""
        return ""

    def show(self, view: View) -> None:
        table = self._table
        table.empty = "one network namespace: all panes show it"
        table.set_filter(view.filter)
        table.show(namespace_rows(view) if view.has_several else ())
        rest = not_watched(view.assessment.snapshot.other_netns)
        total = Text() if table.listed.filtered else Text(fmt.plural(len(view.every), "namespace"), "muted")
        self.set_note(*self.filter_notes(view), total, Text(rest, "sev-unknown"))

    def target(self, row: NamespaceRow) -> ChooseNetns:
        """Return the choice of this namespace, with the pane that shows its nearest limit."""
        pane = PANE_OF_CEILING.get(row.nearest.ceiling, "sockets") if row.nearest else "sockets"
        return ChooseNetns(row.netns.inode, pane)


def _shown(row: NamespaceRow) -> object:
    netns, nearest = row.netns, row.nearest
    reading = nearest and (nearest.ceiling, nearest.severity, nearest.ratio, nearest.warning, nearest.critical)
    numbers = (row.processes, _sockets_used(row), _entries(row), row.ports, netns.listeners is None, row.queue)
    return netns.name, netns.runtime, netns.kind, numbers, reading, in_steps(row.age), row.chosen


def _filter_values(row: NamespaceRow) -> RowValues:
    usage = gauge_values(row.nearest) if row.nearest else {}
    return {
        **usage,
        **netns_values(row.netns),
        "sockets": _sockets_used(row),
        "ceiling": (row.nearest.ceiling, TITLES[row.nearest.ceiling]) if row.nearest else None,
    }
