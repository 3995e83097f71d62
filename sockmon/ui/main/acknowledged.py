"""Alarms that the user has acknowledged: the board shows them dimmed and below the others, until they are worse.

This lasts for the session: a screen that starts later cannot know whether an alarm ended in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from rich.text import Text

from sockmon.assess import Assessment
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS, SEVERITY_LABELS, URGENCY, Severity
from sockmon.ui.widgets.column import Column

MARK = "✔"
"""In place of the glyph of the severity: an acknowledged alarm is not shown by colour alone."""


class _Taken(NamedTuple):
    """The alarm as it was acknowledged."""

    severity: Severity
    since: float | None


class Acknowledged:
    """Which alarms are acknowledged."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str, int], _Taken] = {}

    def toggle(self, reading: Reading, assessment: Assessment) -> bool:
        """Acknowledge an alarm, or take that back; return whether it is acknowledged now."""
        key = reading.identity
        if self._taken.pop(key, None):
            return False
        self._taken[key] = _Taken(reading.severity, _since(reading, assessment))
        return True

    def update(self, assessment: Assessment) -> None:
        """Drop the alarms that have got worse, or have ended, and may have begun again."""
        if not self._taken:
            return
        now = {row.identity: row for row in assessment.report.readings if row.severity in ALARMS}
        for key, taken in list(self._taken.items()):
            row = now.get(key)
            worse = row is not None and URGENCY[row.severity] > URGENCY[taken.severity]
            if row is None or worse or _since(row, assessment) != taken.since:
                del self._taken[key]

    def __contains__(self, reading: Reading) -> bool:
        return reading.identity in self._taken

    def ordered(self, readings: Sequence[Reading]) -> list[Reading]:
        """Return the readings with the acknowledged ones below the other alarms."""
        return sorted(readings, key=lambda row: (row.severity not in ALARMS, row in self))

    def dimmed(self, column: Column[Reading]) -> Column[Reading]:
        """Return a column that shows acknowledged alarms without their colour."""
        for_width = column.text_for_width
        return replace(
            column,
            text=partial(self._dim, column.text),
            text_for_width=partial(self._dim, for_width) if for_width else None,
        )

    def _dim(self, text: object, reading: Reading, *width: int) -> Text | str:
        assert callable(text)
        found: Text | str = text(reading, *width)
        return Text(found.plain if isinstance(found, Text) else found, "muted") if reading in self else found


def _since(reading: Reading, assessment: Assessment) -> float | None:
    return assessment.part_of(reading).since.get(reading.key)


def severity_text(reading: Reading) -> Text:
    """Return the severity of an acknowledged alarm: `✔ HIT`."""
    return Text(f"{MARK} {SEVERITY_LABELS[reading.severity]}")
