"""Small tables of shares: what there is how often, with a bar beside each number."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from sockmon import format
from sockmon.model.report import Severity
from sockmon.model.snapshot import Owner
from sockmon.ui.screens.who import held
from sockmon.ui.styles import STATES
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.table import Column, Table

Share = tuple[str, int, float]
"""A name, its number, and the number relative to the largest."""


def shares(numbers: Mapping[str, int]) -> list[Share]:
    """`numbers` as rows, largest first."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    most = max(ordered[0][1], 1) if ordered else 1
    return [(what, number, number / most) for what, number in ordered]


class Shares(Table[Share]):
    """A name, a number, a bar; `title` is what the names are."""

    def __init__(self, title: str, width: int, *, id: str) -> None:
        def columns(room: int) -> list[Column[Share]]:
            track = max(min(room - width - 13, 40), 4)
            return [
                Column(title, width, lambda row: Text(row[0], STATES.get(row[0], "")), lambda row: row[0]),
                Column("COUNT", 10, lambda row: format.count(row[1]), lambda row: row[1], "right"),
                Column("", 0, lambda row: bar(row[2], track), narrow=False),
            ]

        super().__init__(columns(80), lambda row: row[0], id=id, classes="panel", columns_for=columns, opens=False)


class Owners(Table[Owner]):
    """Processes and how many of the sockets are theirs; Enter opens one."""

    def __init__(self) -> None:
        columns: tuple[Column[Owner], ...] = (
            Column("PID", 9, lambda row: str(row.pid), lambda row: row.pid, "right"),
            Column("NAME", 0, lambda row: row.name, lambda row: row.name),
            Column("SOCKETS", 10, held, lambda row: row.sockets, "right"),
        )
        super().__init__(columns, lambda row: (row.pid, row.start), id="owners", classes="panel")


def fullness(used: int, limit: int) -> Severity:
    """How bad `used` of `limit` looks where no ceiling judged it."""
    ratio = used / limit if limit else float(used > 0)
    return "hit" if used > limit else "critical" if ratio >= 0.95 else "warning" if ratio >= 0.7 else "ok"
