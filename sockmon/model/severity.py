"""How bad a reading is: the levels, their order, and how each is marked on a screen and in a report."""

from __future__ import annotations

from typing import Literal

Severity = Literal["ok", "warning", "critical", "hit", "unknown"]

URGENCY: dict[Severity, int] = {"hit": 4, "critical": 3, "warning": 2, "ok": 1, "unknown": 0}
"""The order of the levels. An unknown reading comes last: it must not hide one that is known."""
ALARMS = frozenset(level for level, urgency in URGENCY.items() if urgency >= URGENCY["warning"])
SEVERITY_GLYPHS: dict[Severity, str] = {"ok": "●", "warning": "▲", "critical": "◆", "hit": "✖", "unknown": "?"}
SEVERITY_LABELS: dict[Severity, str] = {
    "ok": "ok",
    "warning": "WARN",
    "critical": "CRIT",
    "hit": "HIT",
    "unknown": "unknown",
}
"""The word next to the glyph: a severity is never shown by colour alone."""


def glyph_and_label(severity: Severity) -> str:
    """Return glyph and label, such as `▲ WARN`."""
    return f"{SEVERITY_GLYPHS[severity]} {SEVERITY_LABELS[severity]}"
