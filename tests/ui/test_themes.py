"""Our themes are readable, and an invalid theme is reported."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from textual.app import App
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from sockmon.errors import BadTheme
from sockmon.ui.appearance import styles, themes

SHIPPED = {theme.name: theme for theme in themes.load(themes.shipped_dir()).themes}
RGB = [theme for theme in SHIPPED.values() if not theme.ansi]
DECORATION = ("faint", "bar-track", "spark")
ALARMS = ("sev-ok", "sev-warning", "sev-critical", "sev-hit")


def test_the_shipped_ones_load() -> None:
    assert themes.load(themes.shipped_dir()).faults == ()
    assert {"sockmon", "daylight", "colourblind", "console"} <= SHIPPED.keys()
    assert SHIPPED["console"].ansi


@pytest.mark.parametrize("theme", SHIPPED.values(), ids=lambda theme: theme.name)
def test_a_theme_names_all_our_variables(theme: Theme) -> None:
    assert themes.VARIABLES - {"accent"} <= theme.variables.keys()


def _contrast(one: Color, other: Color) -> float:
    def luminance(colour: Color) -> float:
        parts = (
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
        )
        red, green, blue = parts
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", RGB, ids=lambda theme: theme.name)
def test_text_has_enough_contrast(theme: Theme) -> None:
    colours = {
        **themes.derived_variables(theme),
        **theme.variables,
        "accent": str(theme.accent),
        "foreground": str(theme.foreground),
    }
    grounds = [Color.parse(str(theme.background)), Color.parse(colours["cursor-background"])]
    faint = []
    for name in ({*styles.NAMES, "foreground"}) - set(DECORATION):
        for ground, least in zip(grounds, (4.5, 3.0), strict=True):
            contrast = _contrast(Color.parse(colours[name]), ground)
            if contrast < least:
                faint.append(f"{name} {contrast:.2f}")
    assert not faint
    assert _contrast(Color.parse(colours["banner-foreground"]), Color.parse(colours["banner-background"])) >= 4.5


@pytest.mark.parametrize("theme", SHIPPED.values(), ids=lambda theme: theme.name)
def test_severities_differ(theme: Theme) -> None:
    assert len({theme.variables[name] for name in ALARMS}) == len(ALARMS)


def test_colourblind_severities_differ_in_brightness() -> None:
    shades = [Color.parse(SHIPPED["colourblind"].variables[name]).brightness for name in ALARMS]
    assert shades == sorted(shades)
    assert all(later - earlier > 0.05 for earlier, later in itertools.pairwise(shades))


@pytest.mark.parametrize(
    "text",
    [
        "primary = 3",
        'primary = "nocolour"',
        'secondary = "#fff"',
        'primary = "#fff"\nunknown = 1',
        'primary = "#fff"\n[variables]\nsev-hit = "nocolour"',
        'primary = "#fff"\n[variables]\nsev-hit = 3',
        "[[",
    ],
)
def test_a_bad_theme_is_reported_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    (tmp_path / "good.toml").write_text('primary = "#5cb8d6"\n', encoding="utf-8")
    loaded = themes.load(tmp_path)
    assert [theme.name for theme in loaded.themes] == ["good"]
    assert [type(fault) for fault in loaded.faults] == [BadTheme]
    assert "mine.toml" in loaded.faults[0].message


def test_a_theme_of_the_user_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "sockmon.toml").write_text('primary = "#123456"\n', encoding="utf-8")
    loaded = themes.load(themes.shipped_dir(), tmp_path)
    assert {theme.name: theme.primary for theme in loaded.themes}["sockmon"] == "#123456"


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=lambda theme: theme.name)
def test_other_themes_get_our_variables(theme: Theme) -> None:
    app: App[None] = App()
    styles.install(app.console, themes.derived_variables(theme))
