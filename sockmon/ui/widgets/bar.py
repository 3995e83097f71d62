"""A bar of eighth blocks: how much of a limit is used."""

from __future__ import annotations

from rich.text import Text

from sockmon.model.report import Severity
from sockmon.ui.styles import LOOKS

EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = "█"
TRACK = "─"


def bar(ratio: float | None, width: int, severity: Severity = "ok") -> Text:
    """`ratio` of `width` cells in the severity's colour, the rest a faint track; what is not 0 shows a sliver."""
    if ratio is None:
        return Text("·" * width, style="bar-track")
    eighths = round(min(max(ratio, 0.0), 1.0) * width * 8)
    if ratio > 0:
        eighths = max(eighths, 1)
    if ratio < 1:
        eighths = min(eighths, width * 8 - 1)
    whole, part = divmod(eighths, 8)
    filled = FULL * whole + (EIGHTHS[part] if part else "")
    return Text.assemble((filled, LOOKS[severity].style), (TRACK * (width - len(filled)), "bar-track"))
