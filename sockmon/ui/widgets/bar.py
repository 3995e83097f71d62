"""A bar of half-height blocks: how much of a limit is used, and where warning and critical begin.

The upper half of each cell stays empty, so that the bars of neighbouring rows do not melt into one block.
"""

from __future__ import annotations

from rich.text import Text

from sockmon.ceilings.ceiling import Levels
from sockmon.model.severity import Severity
from sockmon.ui.appearance.styles import SEVERITY_STYLES

FULL, HALF, TRACK = "▄", "▖", "▁"
UNKNOWN = "·"
MARK = "╷"
"""Where an alarm begins, on the track; inside the filled part it is a notch of half a cell."""
MIN_MARKED_CELLS = 8
"""Cells of the shortest bar that has marks: on a shorter one they would be most of it."""


def bar(
    ratio: float | None, width: int, severity: Severity = "ok", levels: Levels | None = None, style: str = ""
) -> Text:
    """Return `ratio` of `width` cells in the severity's colour, or in `style`, and the rest as a faint track.

    What is not 0 fills at least half a cell, and what is not full leaves half a cell. `levels`: the marks."""
    if ratio is None:
        return Text(UNKNOWN * width, style="bar-track")
    filled = filled_cells(ratio, width)
    cells = [(glyph, style or SEVERITY_STYLES[severity].style) for glyph in filled]
    cells += [(TRACK, "bar-track")] * (width - len(filled))
    if levels and width >= MIN_MARKED_CELLS:
        for level, alarm in ((levels.critical, "sev-critical"), (levels.warning, "sev-warning")):
            at = int(level * width)
            if at < len(filled) - 1:
                cells[at] = (HALF, cells[at][1])
            elif len(filled) <= at < width:
                cells[at] = (MARK, alarm)
    return Text.assemble(*cells)


def filled_cells(ratio: float, width: int) -> str:
    """Return the filled part of a bar, in steps of half a cell."""
    halves = round(min(max(ratio, 0.0), 1.0) * width * 2)
    if ratio > 0:
        halves = max(halves, 1)
    if ratio < 1:
        halves = min(halves, width * 2 - 1)
    return FULL * (halves // 2) + HALF * (halves % 2)


def plain_bar(ratio: float, width: int) -> str:
    """Return a bar without colours, for a line that has its own colour."""
    return filled_cells(ratio, width).ljust(width, TRACK)
