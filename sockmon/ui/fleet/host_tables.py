"""The table of hosts, or of groups of them, in one frame that names what is shown and in which order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.content import Content

from sockmon.fleet.grouping import HostGroup, group_value, groups
from sockmon.ui.filtering.filter import Filter, Filterable
from sockmon.ui.fleet import cells
from sockmon.ui.fleet.cells import HostRow, reason_span
from sockmon.ui.fleet.columns import MIN_FLEX_CELLS, MIN_NAME_CELLS, group_columns, host_columns
from sockmon.ui.fleet.filter_values import KNOWN, host_values
from sockmon.ui.widgets.column import Column
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.table import Table

USUAL_ORDER = "the one that reaches a limit first"


class HostTables(Frame):
    """The hosts, or their groups by `label`, or the hosts of the group `value`."""

    def __init__(self, trend_title: str, label: str = "", value: str | None = None) -> None:
        super().__init__(_title("Hosts", USUAL_ORDER), id="hosts")
        self.label = label
        """Of the groups; empty without groups."""
        self.value = value
        """The group that was opened; None: all hosts, or the groups."""
        self._trend_title = trend_title
        self._rows: Sequence[HostRow] = ()
        self._names = MIN_NAME_CELLS, "", False
        """What the columns depend on: letters of the longest name of a host without the port that all have, that
        port, and whether a sample of a live host is older than a minute."""
        self._oldest: float | None = None
        """When the oldest sample of a live host was taken, of time.monotonic()."""
        self.hosts: Table[HostRow] = Table(
            self._host_columns(160),
            lambda row: row.host.name,
            id="host-table",
            empty="asking …",
            columns_for=self._host_columns,
            row_span=reason_span,
            flex=MIN_FLEX_CELLS,
            filterable=Filterable(KNOWN, host_values),
            shown=lambda row: row.shown,
        )
        self.groups: Table[HostGroup] = Table(
            group_columns(160, "group"),
            lambda row: row.value,
            id="group-table",
            columns_for=lambda width: group_columns(width, self.label or "group", self._names[1]),
            flex=MIN_FLEX_CELLS,
        )

    def compose(self) -> ComposeResult:
        yield self.hosts
        yield self.groups

    def _host_columns(self, width: int) -> Sequence[Column[HostRow]]:
        longest, port, old = self._names
        return host_columns(width, longest, self._trend_title, port, old)

    @property
    def grouped(self) -> bool:
        """Whether groups are shown, and not hosts."""
        return bool(self.label) and self.value is None

    @property
    def shown(self) -> Table[Any]:
        """The table that is shown."""
        return self.groups if self.grouped else self.hosts

    @property
    def group(self) -> HostGroup | None:
        """The group under the cursor; None if hosts are shown."""
        return self.groups.selected if self.grouped else None

    @property
    def about(self) -> HostRow | None:
        """The host under the cursor, or the worst one of the group there."""
        group = self.group
        return self.row_of(group.worst.name) if group else self.hosts.selected

    @property
    def order(self) -> tuple[str | None, bool]:
        """The column that the hosts are sorted by, None for the default order, and whether that is reversed."""
        listed = self.hosts.listed
        return listed.column.title if listed.column else None, listed.reverse

    def row_of(self, name: str) -> HostRow | None:
        """Return the newest row of a host."""
        return next((row for row in self._rows if row.host.name == name), None)

    def choose(self, label: str, value: str | None) -> None:
        """Show groups by `label`, or the hosts of one of them; all hosts without a label."""
        self.label, self.value = label, value
        self.groups.choose_columns_again()
        self.hosts.action_first()
        self.groups.action_first()

    def show(self, rows: Sequence[HostRow], filter: Filter, why_empty: str) -> bool:
        """Show the hosts that match; `why_empty`: why there may be none. Return whether these are the first."""
        self._rows = rows
        self._name_hosts()
        first = self._show_groups(filter, why_empty) if self.grouped else self._show_hosts(filter, why_empty)
        self.show_order()
        self._show_note()
        return first

    def restore(self, host: str, order: tuple[str | None, bool]) -> None:
        """Sort the hosts as they were, and move the cursor to the host."""
        if any(order):
            self.hosts.sort_by(*order)
        names = [row.host.name for row in self.hosts.arranged]
        if host in names and host != names[0]:
            self.hosts.move(names.index(host))
        self.show_order()
        self._show_note()

    def repaint(self) -> None:
        """Draw what changes with time."""
        self.hosts.repaint()
        self._show_note()

    def show_order(self) -> None:
        """Name in the title what is shown, and in which order."""
        order = self.shown.order
        what = f"by {order}" if order else "the worst first" if self.grouped else USUAL_ORDER
        about = f" · {self.label} = {self.value}" if self.value is not None else ""
        self.border_title = _title(f"Groups by {self.label}" if self.grouped else f"Hosts{about}", what)

    def _name_hosts(self) -> None:
        hosts = [row.host for row in self._rows]
        port = cells.common_port(hosts)
        longest = max((len(host.name) for host in hosts), default=MIN_NAME_CELLS) - len(port)
        live = (row for row in self._rows if row.host.state == "live")
        taken = (row.answered_at - row.host.age for row in live if row.host.age is not None)
        self._oldest = min(taken, default=None)
        names = longest, port, self._has_old_samples()
        if names != self._names:
            self._names = names
            self.hosts.choose_columns_again()
            self.groups.choose_columns_again()

    @property
    def shows_other_ages(self) -> bool:
        """Whether a sample of a live host is a minute old, and was not yet: its age gets a column."""
        return self._has_old_samples() != self._names[2]

    def _has_old_samples(self) -> bool:
        """Return whether the age of a live host must be seen; of another host the reason says it."""
        return self._oldest is not None and time.monotonic() - self._oldest >= cells.OLD_SECONDS

    def _show_hosts(self, filter: Filter, why_empty: str) -> bool:
        rows = self._rows
        if self.value is not None:
            rows = [row for row in rows if group_value(row.host, self.label) == self.value]
        self.hosts.empty = "no host is in this group any more" if self.value and self._rows else why_empty
        self.hosts.set_filter(filter)
        first = not self.hosts.rows
        self.hosts.show(rows)
        return first and bool(rows)

    def _show_groups(self, filter: Filter, why_empty: str) -> bool:
        known = filter.known(KNOWN)
        matching = [row.host for row in self._rows if known.matches(host_values(row))]
        self.groups.empty = "nothing matches the filter" if self._rows else why_empty
        self.groups.show(groups(matching, self.label))
        return False

    def _show_note(self) -> None:
        table = self.shown
        hidden = len(table.arranged) - max(table.size.height - table.heading, 0)
        below = Text(f"+ {hidden:,} below", "muted") if table.size.height and hidden > 0 else Text()
        ignored = Text(table.listed.ignored_terms, "sev-warning")
        self.set_note(ignored, Text(table.matching, "accent"), below)


def _title(name: str, what: str) -> Content:
    return Content.assemble((name, "bold"), (f" {what}", "dim"))
