"""The lines of the tuning panel: what each knob is now and what it should be, and in which order they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.text import Text

from sockmon.model.report import Reading
from sockmon.tuning.advice import knobs
from sockmon.tuning.listing import Row, at_boot
from sockmon.ui.staged import value
from sockmon.ui.widgets.column import Column

WIDE = 120
"""Cells from which on a line has room for what is there at boot and by default."""
ARROW = " → "
LEAST = 5
"""Cells of the old value that are left however long the new one is."""


@dataclass(frozen=True)
class Line:
    """A tunable as the panel shows it."""

    row: Row
    wanted: str | None
    """The value that is staged."""
    advised: str | None
    reason: str
    rank: int
    """0: the ceiling that one came from asks for it, 1: the plan does, 2: another alarm does, 3: nobody, 4: it
    cannot be changed here."""

    @property
    def key(self) -> str:
        return self.row.key


def lines(
    rows: Iterable[Row], staged: Mapping[str, str], suggested: Mapping[str, str], reading: Reading | None
) -> list[Line]:
    """A line for each row: those of the ceiling first, then what the plan and the other alarms ask for."""
    own = {knob.key: (place, knob) for place, knob in enumerate(knobs(reading))} if reading else {}
    found = []
    for place, row in enumerate(rows):
        advised, reason, rank = row.advised, row.reason, (4 if row.refused else 2 if row.advised else 3, place)
        if row.key in suggested:
            advised, reason, rank = suggested[row.key], "the plan asks for it beside the others", (1, place)
        if row.key in own:
            rank = (0, own[row.key][0])
            if row.key not in suggested:
                advised, reason = own[row.key][1].value, own[row.key][1].text
        found.append((rank, Line(row, staged.get(row.key), advised, reason, rank[0])))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def columns(width: int) -> tuple[Column[Line], ...]:
    """What a table of that width says of each."""
    roomy = width >= WIDE
    cells, room = (22, 28) if roomy else (16, 25)
    return (
        Column("", 1, _mark),
        Column("KEY", 0, _key, cut="middle"),
        Column("NOW", room, lambda line: _now(line, room)),
        Column("ADVISED", cells, _advised),
        Column("DEFAULT", 20, lambda line: Text(line.row.default, "muted"), narrow=False),
        Column("AT BOOT", 14, _boot, narrow=False),
        Column("SCOPE", 14, lambda line: Text(line.row.scope, "muted"), narrow=False),
    )


def _mark(line: Line) -> Text:
    return Text("*", "accent") if line.wanted is not None else Text()


def _key(line: Line) -> Text:
    style = "strong" if line.wanted is not None or line.rank < 2 else "muted" if line.row.refused else ""
    return Text(line.key, style)


def _now(line: Line, room: int) -> Text:
    now = value(line.row.current)
    if line.wanted is not None:
        new = value(line.wanted)
        old = Text(now, "muted")
        old.truncate(max(room - len(new) - len(ARROW), LEAST), overflow="ellipsis")
        return Text.assemble(old, (f"{ARROW}{new}", "accent"))
    if line.row.refused:
        return Text("none here" if line.row.current is None else f"{now} (fixed)", "muted")
    return Text(now)


def _advised(line: Line) -> Text:
    if line.advised is None or line.row.refused:
        return Text("–", "faint")
    done = line.advised in (line.wanted, line.row.current)
    return Text(value(line.advised), "muted" if done else "sev-warning")


def _boot(line: Line) -> Text:
    outlook = line.row.outlook
    if line.row.boot is not None:
        return Text(at_boot(line.row), "" if line.row.boot == line.row.current else "accent")
    if outlook and len(outlook.boot) > 1:
        return Text("it depends", "sev-warning")
    return Text("–", "faint")
