"""A bar leaves air above it, shows where alarms begin, and follows the severity."""

from __future__ import annotations

import pytest
from rich.text import Text

from sockmon.ceilings.ceiling import Levels
from sockmon.ui.widgets.bar import FULL, HALF, MARK, TRACK, bar

LEVELS = Levels(0.8, 0.95)


def style_at(text: Text, index: int) -> list[str]:
    return [str(span.style) for span in text.spans if span.start <= index < span.end]


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (None, "··········"),
        (0.0, TRACK * 10),
        (0.001, HALF + TRACK * 9),
        (0.5, FULL * 5 + TRACK * 5),
        (0.55, FULL * 5 + HALF + TRACK * 4),
        (0.999, FULL * 9 + HALF),
        (1.0, FULL * 10),
        (3.0, FULL * 10),
    ],
)
def test_what_is_not_empty_shows_and_what_is_not_full_leaves_room(ratio: float | None, shown: str) -> None:
    assert bar(ratio, 10).plain == shown


def test_marks_stand_where_alarms_begin_in_the_colours_of_the_alarms() -> None:
    found = bar(0.5, 20, "ok", LEVELS)
    assert [at for at, glyph in enumerate(found.plain) if glyph == MARK] == [16, 19]
    assert style_at(found, 16) == ["sev-warning"]
    assert style_at(found, 19) == ["sev-critical"]
    assert style_at(found, 0) == ["sev-ok"]


def test_a_level_that_was_passed_is_a_notch() -> None:
    found = bar(1.0, 20, "hit", LEVELS)
    assert found.plain == FULL * 16 + HALF + FULL * 3
    assert style_at(found, 3) == ["sev-hit"]


@pytest.mark.parametrize("width", [1, 3, 7, 8, 40])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.85, 1.0])
def test_marks_never_change_the_width_and_a_short_bar_has_none(width: int, ratio: float) -> None:
    found = bar(ratio, width, "ok", Levels(0.9, 9.0))
    assert found.cell_len == width
    assert MARK not in found.plain or width >= 8
