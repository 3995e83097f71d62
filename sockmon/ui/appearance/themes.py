"""Themes from TOML files: the wheel's (or the checkout's) `themes/`, then the user's; stem = name.

Keys are the fields of Textual's Theme, `[variables]` holds ours (`styles.NAMES` and the ones below). A bad file
is reported and skipped: colours are checked here, because Textual would fail only when it draws.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from sockmon import toml
from sockmon.errors import BadTheme
from sockmon.text import sanitize
from sockmon.ui.appearance.styles import NAMES

_SAFE_TEXT = re.compile(r"[\w #%.,()-]*")
DEFAULT = "sockmon"
CONSOLE = "console"
"""The theme for terminals of sixteen colours, and for NO_COLOR."""


class Loaded(NamedTuple):
    """The valid themes, and what is wrong with the others."""

    themes: tuple[Theme, ...]
    faults: tuple[BadTheme, ...]


def shipped_dir() -> Path:
    """Return the directory of our themes: inside the package, or next to it in a checkout."""
    inside = Path(str(files("sockmon"))) / "themes"
    return inside if inside.is_dir() else inside.parent.parent / "themes"


def load(*folders: Path) -> Loaded:
    """Return the themes of all folders; a theme of a later folder replaces one of the same name."""
    themes: dict[str, Theme] = {}
    faults: list[BadTheme] = []
    for folder in folders:
        try:
            paths = _files(folder)
        except OSError as error:
            faults.append(BadTheme(f"{sanitize(str(folder), 400)}: {error.strerror}"))
            continue
        for path in paths:
            try:
                themes[path.stem] = read(path)
            except BadTheme as fault:
                faults.append(fault)
    return Loaded(tuple(themes.values()), tuple(faults))


def _files(folder: Path) -> list[Path]:
    """Return the theme files of a folder, none if it does not exist; raise OSError if it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except (FileNotFoundError, NotADirectoryError):
        return []


def read(path: Path) -> Theme:
    """Return a theme; raise BadTheme, with the file and the wrong key, if it cannot be used."""
    try:
        theme = Theme(**{**toml.read(path), "name": sanitize(path.stem, 40)})
        theme.to_color_system().generate()
        for name, value in theme.variables.items():
            _check(name, value)
    except OSError as error:
        raise BadTheme(f"{sanitize(path.name, 60)}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, ColorParseError) as error:
        raise BadTheme(
            f"{sanitize(path.name, 60)}: {error}", "keys are the fields of Textual's Theme and [variables]"
        ) from error
    return theme


def _check(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"[variables] {name} must be a colour in quotes")
    if not _SAFE_TEXT.fullmatch(name) or not _SAFE_TEXT.fullmatch(value):
        # Both are inserted into a style sheet unescaped.
        raise ValueError(f"[variables] {name} has characters that no colour or style has")
    if name in VARIABLES:
        Color.parse(value)


def derived_variables(theme: Theme) -> dict[str, str]:
    """Return defaults of our variables for a theme, from its base colours."""
    foreground = theme.foreground or ("#e0e0e0" if theme.dark else "#202020")
    success, warning = theme.success or theme.primary, theme.warning or theme.primary
    error, second = theme.error or theme.primary, theme.secondary or theme.primary
    surface, panel = theme.surface or theme.primary, theme.panel or theme.primary
    pairs = {
        **dict.fromkeys(NAMES, foreground),
        **dict.fromkeys(("sev-ok", "state-established"), success),
        **dict.fromkeys(("sev-warning", "state-close-wait"), warning),
        **dict.fromkeys(("sev-critical", "sev-hit", "banner-background"), error),
        **dict.fromkeys(("heading", "accent", "column-sorted", "spark", "pane-focus"), theme.primary),
        **dict.fromkeys(("sev-unknown", "state-opening", "state-listen"), second),
        **dict.fromkeys(("bar-track", "faint", "pane-border", "cursor-background"), panel),
    }
    # Variables that Textual's style sheets need of an ANSI theme, and its ColorSystem does not provide.
    own = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"].variables if theme.ansi else {}
    return {**own, **pairs, "cursor-blurred": surface, "banner-foreground": theme.background or foreground}


VARIABLES = frozenset(derived_variables(Theme(name="", primary="#808080")))
"""Every variable of ours that a theme may set."""
