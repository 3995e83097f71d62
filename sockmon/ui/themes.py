"""Themes from TOML files: the wheel's (or the checkout's) `themes/`, then the user's; stem = name.

Keys are the fields of Textual's Theme, `[variables]` holds ours (`styles.NAMES` and the ones below). A bad file
is reported and left out, never fatal: colours are tried here, because Textual finds them only when it draws.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from sockmon.errors import BadTheme
from sockmon.model.clean import clean
from sockmon.ui import toml
from sockmon.ui.styles import NAMES

_PLAIN = re.compile(r"[\w #%.,()-]*")
DEFAULT = "sockmon"
CONSOLE = "console"
"""The theme for terminals of sixteen colours, and for NO_COLOR."""


class Loaded(NamedTuple):
    """The themes that can be used, and what is wrong with the others."""

    themes: tuple[Theme, ...]
    faults: tuple[BadTheme, ...]


def shipped() -> Path:
    """The folder of our own themes: inside the package, else beside it in a checkout."""
    inside = Path(str(files("sockmon"))) / "themes"
    return inside if inside.is_dir() else inside.parent.parent / "themes"


def load(*folders: Path) -> Loaded:
    """Every theme of the folders; a later folder's theme takes the place of an earlier one's."""
    themes: dict[str, Theme] = {}
    faults: list[BadTheme] = []
    for path in _files(folders):
        try:
            themes[path.stem] = read(path)
        except BadTheme as fault:
            faults.append(fault)
    return Loaded(tuple(themes.values()), tuple(faults))


def _files(folders: tuple[Path, ...]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(folder.glob("*.toml"))


def read(path: Path) -> Theme:
    """One theme, tried out; raises BadTheme with the file and the key that is wrong."""
    try:
        theme = Theme(**{**toml.read(path), "name": clean(path.stem, 40)})
        theme.to_color_system().generate()
        for name, value in theme.variables.items():
            _check(name, value)
    except OSError as error:
        raise BadTheme(f"{clean(path.name, 60)}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, ColorParseError) as error:
        raise BadTheme(
            f"{clean(path.name, 60)}: {error}", "keys are the fields of Textual's Theme and [variables]"
        ) from error
    return theme


def _check(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"[variables] {name} must be a colour in quotes")
    if not _PLAIN.fullmatch(name) or not _PLAIN.fullmatch(value):
        # Both go into a style sheet as they are.
        raise ValueError(f"[variables] {name} has characters that no colour or style has")
    if name in VARIABLES:
        Color.parse(value)


def derive(theme: Theme) -> dict[str, str]:
    """Our variables for a theme that does not name them, from its base colours."""
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
    # What Textual's own style sheets ask of an ANSI theme, and its ColorSystem does not make.
    own = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"].variables if theme.ansi else {}
    return {**own, **pairs, "cursor-blurred": surface, "banner-foreground": theme.background or foreground}


VARIABLES = frozenset(derive(Theme(name="", primary="#808080")))
"""Every variable of ours that a theme may set."""
