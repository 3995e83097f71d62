"""The columns of the tables of a fleet: hosts, groups of hosts, the limits of one host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.fleet.grouping import HostGroup
from sockmon.fleet.hosts import HostLimit
from sockmon.model.severity import Severity
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.fleet import cells
from sockmon.ui.fleet.cells import HostRow
from sockmon.ui.widgets.column import GAP, Column

MEDIUM_COLUMNS, WIDE_COLUMNS = 105, 140
"""Columns of the table from which on the subject, and used / limit and the further alarms by name, fit."""
TITLE_CELLS, SHORT_TITLE_CELLS = max(map(len, TITLES.values())), 18
TREND_CELLS = 15
MIN_NAME_CELLS, MAX_NAME_CELLS = 12, 28
MARK_CELLS = 3
"""Of `+1›`: how many columns are hidden."""
MIN_FLEX_CELLS = 12
"""Of the column that takes the remaining width: the subject, or the name of a host or of a group."""


def host_columns(
    width: int, longest: int, trend_title: str, port: str = "", old: bool = False
) -> Sequence[Column[HostRow]]:
    """Return the columns of the hosts; `longest` is the length of the longest name without `port`, which all have.

    Names are shortened first, down to MIN_NAME_CELLS. Then AGE yields, unless `old`: a sample of a live host is
    older than a minute. After it ALSO and the trend yield."""
    wide, medium = width >= WIDE_COLUMNS, width >= MEDIUM_COLUMNS
    bar_cells = 14 if wide else 10 if medium else 8
    title_cells = TITLE_CELLS if wide else SHORT_TITLE_CELLS
    more_cells = 13 if wide else 4
    behind: list[Column[HostRow]] = [
        Column("LIMIT", title_cells, lambda row: cells.title_cell(row.limit), _title, pin=medium),
        Column(
            "SUBJECT",
            0 if medium else 30,
            lambda row: cells.subject_cell(row.limit),
            scrolled_only=not medium,
            text_for_width=lambda row, room: cells.subject_cell(row.limit, room),
        ),
        Column("USAGE", bar_cells, lambda row: cells.usage_cell(row.limit, bar_cells), _ratio, largest_first=True),
        Column("USED/LIMIT", 13, lambda row: cells.used_cell(row.limit), align="right", scrolled_only=not wide),
        Column("FULL", 5, lambda row: cells.full_cell(row.limit), _ratio, "right"),
        Column(
            f"TREND {trend_title}",
            TREND_CELLS,
            lambda row: cells.trend_cell(row.host, TREND_CELLS),
            keep_when_narrow=False,
            scrolled_only=not medium,
        ),
        Column("LEFT", 7, lambda row: cells.left_cell(row.limit), _left, "right", largest_first=False),
        Column(
            "ALSO",
            more_cells,
            lambda row: cells.more_cell(row.host, more_cells),
            _alarms,
            keep_when_narrow=False,
            largest_first=True,
            scrolled_only=old and not medium,
        ),
        Column(
            "AGE",
            6,
            cells.age_cell,
            lambda row: row.age,
            "right",
            keep_when_narrow=old,
            scrolled_only=not (old or medium),
        ),
    ]
    # Not sorted by: that is the order in which the hosts come.
    state: Column[HostRow] = Column("", 9 if medium else 8, lambda row: cells.state_cell(row.host), pin=True)
    room = width - _least_width([state, *behind])
    name_cells = max(min(longest, MAX_NAME_CELLS if wide else 20, room), MIN_NAME_CELLS) if medium else 0
    name: Column[HostRow] = Column(
        "HOST", name_cells, lambda row: cells.name_cell(row.host, port), _name, cut="middle", pin=True
    )
    return state, name, *behind


def _least_width(columns: Sequence[Column[HostRow]]) -> int:
    """Return the cells of what the first view shows of these columns, with the gap before one more."""
    shown = [column.width or MIN_FLEX_CELLS for column in columns if not column.scrolled_only]
    mark = [MARK_CELLS] if len(shown) < len(columns) else []
    return sum(each + GAP for each in (*shown, *mark))


def group_columns(width: int, label: str, port: str = "") -> Sequence[Column[HostGroup]]:
    """Return the columns of groups: how many hosts, how bad, and the worst of them."""
    wide, medium = width >= WIDE_COLUMNS, width >= MEDIUM_COLUMNS
    title_cells = TITLE_CELLS if wide else SHORT_TITLE_CELLS
    return (
        Column("", 9 if medium else 8, lambda row: cells.state_cell(row.worst), pin=True),
        Column(label.upper(), 0, _value_cell, lambda row: row.value.casefold(), cut="middle", pin=True),
        Column("HOSTS", 6, lambda row: Text(f"{len(row.hosts):,}"), lambda row: len(row.hosts), "right"),
        *(_count_column(severity) for severity in cells.SEVERITY_ORDER),
        Column(
            "NEAREST HOST",
            20 if wide else 14,
            lambda row: cells.name_cell(row.worst, port),
            cut="middle",
            scrolled_only=not medium,
        ),
        Column("LIMIT", title_cells, lambda row: cells.title_cell(row.worst.nearest), scrolled_only=not medium),
        Column("USAGE", 14, lambda row: cells.usage_cell(row.worst.nearest, 14), scrolled_only=not wide),
        Column("FULL", 5, lambda row: cells.full_cell(row.worst.nearest), align="right"),
        Column("LEFT", 7, lambda row: cells.left_cell(row.worst.nearest), align="right"),
    )


def _count_column(severity: Severity) -> Column[HostGroup]:
    """Return the column with the number of hosts of a severity."""
    style = SEVERITY_STYLES[severity]

    def cell(group: HostGroup) -> Text:
        number = group.counts[severity]
        return Text(f"{number:,}", style.style) if number else Text(fmt.NOTHING, "faint")

    return Column(style.glyph, 5, cell, lambda group: group.counts[severity], "right")


def _value_cell(group: HostGroup) -> Text:
    return Text(group.value, "strong" * bool(group.worst.alarms))


def limit_columns(width: int) -> Sequence[Column[HostLimit]]:
    """Return the columns of the limits of one host."""
    bar_cells = 16 if width >= MEDIUM_COLUMNS else 8
    return (
        Column("", 9, lambda row: cells.severity_cell(row.severity), pin=True),
        Column("LIMIT", TITLE_CELLS, cells.title_cell, pin=True),
        Column("SUBJECT", 0, cells.subject_cell, text_for_width=cells.subject_cell),
        Column("USAGE", bar_cells, lambda row: cells.usage_cell(row, bar_cells), keep_when_narrow=False),
        Column("USED/LIMIT", 11, cells.used_cell, align="right"),
        Column("FULL", 5, cells.full_cell, align="right"),
        Column("LEFT", 7, cells.left_cell, align="right"),
    )


def _of_limit(value: Callable[[HostLimit], Any]) -> Callable[[HostRow], Any]:
    return lambda row: value(row.limit) if row.limit else None


_ratio = _of_limit(lambda limit: limit.ratio)
_left = _of_limit(lambda limit: limit.left)
_title = _of_limit(cells.title_of)


def _name(row: HostRow) -> str:
    return row.host.name.casefold()


def _alarms(row: HostRow) -> int:
    return row.host.alarms
