"""The rows of the tuning panel: each setting with its value now and the advised one, and their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.text import Text

from sockmon.model.report import Reading
from sockmon.tunables import row_of
from sockmon.tuning.planning.advice import advised_remedies, settable_remedies
from sockmon.tuning.planning.catalog import READ_ONLY_MARK, CatalogRow, boot_value
from sockmon.tuning.planning.proposal_pages import format_value
from sockmon.ui.widgets.column import Column

WIDE_COLUMNS = 120
"""Cells from which on a row has room for wider values."""
ARROW = " → "
MIN_OLD_CELLS = 5
"""Cells of the old value that stay, however long the new one is."""


@dataclass(frozen=True)
class PanelRow:
    """A setting as the panel shows it."""

    row: CatalogRow
    planned: str | None
    """The value in the plan; None if it is not in the plan."""
    advised: str | None
    reason: str
    group: int
    """0: what the panel was opened with, or a remedy of the ceiling that it was opened from, 1: suggested by the
    plan, 2: advised for another alarm, 3: not advised, 4: read-only here."""

    @property
    def key(self) -> str:
        return self.row.key

    def matches(self, words: Iterable[str]) -> bool:
        """Return whether each of `words`, in lower case, is in its key, unit, scope or description."""
        text = f"{self.key} {self.row.unit} {self.row.scope} {row_of(self.key).description}".casefold()
        return all(word in text for word in words)


def panel_rows(
    rows: Iterable[CatalogRow],
    staged: Mapping[str, str],
    suggested: Mapping[str, str],
    reading: Reading | None,
    opened_with: Iterable[str] = (),
) -> list[PanelRow]:
    """Return a row for each setting: first what the panel was opened with and the remedies of the ceiling, then
    what the plan and other alarms advise."""
    remedies = [knob.key for knob in settable_remedies(reading)] if reading else []
    own = {key: place for place, key in enumerate(dict.fromkeys([*opened_with, *remedies]))}
    asked = {knob.key: knob for knob in advised_remedies(reading)} if reading else {}
    found = []
    for place, row in enumerate(rows):
        best, reason, rank = row.advised, row.reason, (4 if row.refused else 2 if row.advised else 3, place)
        if row.key in suggested:
            best, reason, rank = suggested[row.key], "the plan needs it with the other changes", (1, place)
        if row.key in own:
            rank = (0, own[row.key])
            if row.key in asked and row.key not in suggested:
                best, reason = asked[row.key].value, asked[row.key].remedy.text
        found.append((rank, PanelRow(row, staged.get(row.key), best, reason, rank[0])))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def columns(width: int) -> tuple[Column[PanelRow], ...]:
    """Return the columns of a table of that width."""
    roomy = width >= WIDE_COLUMNS
    cells, room = (22, 28) if roomy else (16, 25)
    return (
        Column("", 1, _planned_mark),
        Column("KEY", 0, _key, cut="middle"),
        Column("NOW", room, lambda line: _now(line, room)),
        Column("ADVISED", cells, _advised),
        Column("DEFAULT", 20, lambda line: Text(line.row.default, "muted"), keep_when_narrow=False),
        Column("AT BOOT", 14, _boot, keep_when_narrow=False),
        Column("SCOPE", 14, lambda line: Text(line.row.scope, "muted"), keep_when_narrow=False),
    )


def _planned_mark(line: PanelRow) -> Text:
    return Text("*", "accent") if line.planned is not None else Text()


def _key(line: PanelRow) -> Text:
    style = "strong" if line.planned is not None or line.group < 2 else "muted" if line.row.refused else ""
    return Text(line.key, style)


def _now(line: PanelRow, room: int) -> Text:
    now = format_value(line.row.current)
    if line.planned is not None:
        new = format_value(line.planned)
        old = Text(now, "muted")
        old.truncate(max(room - len(new) - len(ARROW), MIN_OLD_CELLS), overflow="ellipsis")
        return Text.assemble(old, (f"{ARROW}{new}", "accent"))
    if line.row.refused:
        return Text("(not present)" if line.row.current is None else f"{now}{READ_ONLY_MARK}", "muted")
    return Text(now)


def _advised(line: PanelRow) -> Text:
    if line.advised is None or line.row.refused:
        return Text("–", "faint")
    done = line.advised in (line.planned, line.row.current)
    return Text(format_value(line.advised), "muted" if done else "sev-warning")


def _boot(line: PanelRow) -> Text:
    outlook = line.row.forecast
    if line.row.boot is not None:
        return Text(boot_value(line.row), "" if line.row.boot == line.row.current else "accent")
    if outlook and (outlook.differs or outlook.unknown):
        return Text(boot_value(line.row), "sev-warning")
    return Text("–", "faint")
