"""Severity and state as glyph, word and colour; colours by name, resolved when drawn by the theme in force.

A style is a name (`sev-hit`, `muted`, `spark`): put it into a `rich.text.Text`, `install()` tells the console what
the names mean whenever the theme changes. So no cell holds a colour, and a new theme repaints everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.console import Console
from rich.style import Style
from rich.theme import Theme
from textual.color import Color

from sockmon.model.report import Severity


class Look(NamedTuple):
    """How a severity shows: never by colour alone."""

    glyph: str
    word: str
    style: str


LOOKS: dict[Severity, Look] = {
    "ok": Look("●", "ok", "sev-ok"),
    "warning": Look("▲", "WARN", "sev-warning"),
    "critical": Look("◆", "CRIT", "sev-critical"),
    "hit": Look("✖", "HIT", "sev-hit"),
    "unknown": Look("?", "unknown", "sev-unknown"),
}

STATES: dict[str, str] = {
    "ESTABLISHED": "state-established",
    "LISTEN": "state-listen",
    "SYN_SENT": "state-opening",
    "SYN_RECV": "state-opening",
    "NEW_SYN_RECV": "state-opening",
    "TIME_WAIT": "state-closing",
    "FIN_WAIT1": "state-closing",
    "FIN_WAIT2": "state-closing",
    "LAST_ACK": "state-closing",
    "CLOSING": "state-closing",
    "CLOSE": "state-closing",
    "CLOSE_WAIT": "state-close-wait",
}
"""TCP state → style."""

BOLD = frozenset({"sev-critical", "sev-hit", "strong", "column-sorted"})
NAMES = (
    "muted", "faint", "strong", "accent", "heading", "column", "column-sorted", "spark", "bar-track",
    "sev-ok", "sev-warning", "sev-critical", "sev-hit", "sev-unknown",
    "state-established", "state-listen", "state-opening", "state-closing", "state-close-wait",
)  # fmt: skip
"""Every style name; each is a variable of the theme."""


def install(console: Console, variables: Mapping[str, str]) -> None:
    """Make the console know our style names by the colours of a theme's variables."""
    styles = {
        name: Style(color=Color.parse(variables[name]).rich_color, bold=True if name in BOLD else None)
        for name in NAMES
    }
    console.push_theme(Theme(styles, inherit=True))
