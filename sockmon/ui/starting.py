"""What each app of ours does before it starts: sane sizes, the settings, the theme of the command line."""

from __future__ import annotations

import os

from msgspec.structs import replace

from sockmon import settings
from sockmon.errors import BadSettings, Misuse
from sockmon.ui.configured_app import ConfiguredApp

MAX_SIZE = 2000
"""Columns or lines above which COLUMNS and LINES are ignored."""


def load_settings(theme: str | None) -> settings.Settings:
    """Return the settings of the user, with the theme of the command line if there is one."""
    try:
        chosen = settings.load()
    except BadSettings as error:
        chosen = settings.Settings(faults=(error.message,), why_no_actions="the config file cannot be read")
    return replace(chosen, theme=theme or chosen.theme)


def require_theme(app: ConfiguredApp, theme: str | None) -> None:
    """Raise Misuse if the command line names a theme that does not exist."""
    if theme and theme not in app.available_themes:
        raise Misuse(f"--theme: {app.unknown_theme(theme)}", f"known: {', '.join(sorted(app.available_themes))}")


def forget_odd_size() -> None:
    """Remove COLUMNS and LINES if they are not a plausible size: drawing 99,999,999 lines would never end."""
    for name in ("COLUMNS", "LINES"):
        text = os.environ.get(name, "")
        if not (text.isascii() and text.isdecimal() and len(text) < 5 and 0 < int(text) <= MAX_SIZE):
            os.environ.pop(name, None)
