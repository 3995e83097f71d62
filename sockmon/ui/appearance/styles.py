"""Severity and state as glyph, word and colour; colours by name, resolved when drawn by the theme in force.

A style is a name (`sev-hit`, `muted`, `spark`): put it into a `rich.text.Text`, `install()` tells the console what
the names mean whenever the theme changes. So no cell holds a colour, and a new theme repaints everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

from rich.console import Console
from rich.style import Style
from rich.theme import Theme
from textual.color import Color

from sockmon.model.severity import SEVERITY_GLYPHS, SEVERITY_LABELS, Severity


class SeverityStyle(NamedTuple):
    """How a severity is shown: never by colour alone."""

    glyph: str
    word: str
    style: str


SEVERITY_STYLES: dict[Severity, SeverityStyle] = {
    level: SeverityStyle(SEVERITY_GLYPHS[level], SEVERITY_LABELS[level], f"sev-{level}")
    for level in get_args(Severity)
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
    """Define our style names on the console, from the variables of a theme."""
    styles = {
        name: Style(color=Color.parse(variables[name]).rich_color, bold=True if name in BOLD else None)
        for name in NAMES
    }
    console.push_theme(Theme(styles, inherit=True))
