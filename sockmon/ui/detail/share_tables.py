"""Tables of shares: a name, its number and a bar."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from sockmon import format
from sockmon.model.severity import Severity
from sockmon.model.snapshot import Owner
from sockmon.ui.appearance.styles import STATES
from sockmon.ui.detail.owners import socket_count
from sockmon.ui.filtering.filter import ALL, Filterable
from sockmon.ui.filtering.row_values import owner_values
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.table import Column, Table

Share = tuple[str, int, float]
"""A name, its number, and the number relative to the largest."""


def share_rows(numbers: Mapping[str, int]) -> list[Share]:
    """Return `numbers` as rows, largest first."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    most = max(ordered[0][1], 1) if ordered else 1
    return [(what, number, number / most) for what, number in ordered]


class ShareTable(Table[Share]):
    """A name, a number, a bar; `title` heads the names, `field` is their name in a filter."""

    def __init__(self, title: str, width: int, *, id: str, field: str = "") -> None:
        self.field = field

        def columns(room: int) -> list[Column[Share]]:
            track = max(min(room - width - 13, 40), 4)
            return [
                Column(
                    title, width, lambda row: Text(row[0], STATES.get(row[0], "")), lambda row: row[0], pin=True
                ),
                Column("COUNT", 10, lambda row: format.count(row[1]), lambda row: row[1], "right"),
                Column("", 0, lambda row: bar(row[2], track, style="spark"), keep_when_narrow=False),
            ]

        super().__init__(
            columns(80),
            lambda row: row[0],
            id=id,
            classes="panel",
            columns_for=columns,
            filterable=Filterable(
                dict.fromkeys((field or "text", "count"), ALL),
                lambda row: {field or "text": row[0], "count": row[1]},
            ),
        )


class OwnerTable(Table[Owner]):
    """Processes and the number of sockets that each has; Enter opens one."""

    def __init__(self) -> None:
        columns: tuple[Column[Owner], ...] = (
            Column("PID", 9, lambda row: str(row.pid), lambda row: row.pid, "right", pin=True),
            Column("NAME", 0, lambda row: row.name, lambda row: row.name),
            Column("SOCKETS", 10, socket_count, lambda row: row.sockets, "right"),
        )
        super().__init__(
            columns,
            lambda row: (row.pid, row.start),
            id="owners",
            classes="panel",
            filterable=Filterable(dict.fromkeys(("pid", "proc", "sockets"), ALL), owner_values),
        )


def severity_of(used: int, limit: int | None) -> Severity:
    """Return the severity of `used` of `limit`, for what no ceiling judges."""
    if limit is None:
        return "unknown"
    ratio = used / limit if limit else float(used > 0)
    return "hit" if used > limit else "critical" if ratio >= 0.95 else "warning" if ratio >= 0.7 else "ok"
