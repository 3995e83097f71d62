"""The plot: its scale, its limit and its gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from sockmon.assess import Point
from sockmon.ui.appearance.ascii_filter import AsciiFilter
from sockmon.ui.widgets.trend import plot

NOW = 1_000.0


def trail(*values: float, first: float = NOW - 59) -> list[Point]:
    return [Point(first + index, value) for index, value in enumerate(values)]


def plain(points: list[Point], limit: int | None, width: int = 60, height: int = 9) -> list[str]:
    return [line.plain for line in plot(points, limit, width, height, NOW)]


def area(line: str) -> str:
    return line[line.index("│" if "│" in line else "┤") + 1 :]


def test_labels_and_axis() -> None:
    lines = plain(trail(*[842.0] * 60), 1024)
    assert lines[0].startswith("1,024 ┤")
    assert " limit " in lines[0]
    assert any(line.startswith("  512 ┤") for line in lines)
    assert lines[-1].startswith("    0 ┼ −60 s ")
    assert lines[-1].endswith(" now")


def test_full_area_touches_the_limit_and_half_does_not() -> None:
    full = plain(trail(*[100.0] * 60), 100)
    assert set(area(full[1])[2:]) == {"⣿"}
    half = plain(trail(*[50.0] * 60), 100)
    assert set(area(half[1])) == {" "}
    assert "⣿" in area(half[-2])


def test_only_a_full_column_touches_the_limit() -> None:
    lines = plain(trail(*[99.9] * 60), 100)
    assert "⣿" not in area(lines[1])


def test_values_above_the_limit_make_its_line_solid() -> None:
    lines = plain(trail(*[100.0] * 30, *[129.0] * 30), 128)
    assert "█" in lines[0]
    assert "╌" in lines[0]


def test_far_below_the_limit_a_caption_gives_the_scale() -> None:
    lines = plain(trail(*[3_276.0] * 60), 262_144)
    assert lines[0] == "scaled to its own peak; limit 262,144 is 80× higher"
    assert lines[1].startswith("3,276 ┤")
    assert not any("limit" in line for line in lines[1:])


def test_zero_is_drawn_and_a_gap_is_not() -> None:
    assert "⣀" in plain(trail(*[0.0] * 60), 100)[-2]
    points = trail(*[40.0] * 20) + trail(*[50.0] * 20, first=NOW - 19)
    row = area(plain(points, 100)[-2])
    assert "   " in row.strip()
    assert set(area(plain([], 100)[-2])) == {" "}


def test_time_without_samples_stays_empty() -> None:
    row = area(plain(trail(*[50.0] * 30), 100)[-2])
    assert row.endswith(" " * 20)


def test_more_points_need_a_longer_span() -> None:
    points = [Point(NOW - 250 + 5 * index, 50.0) for index in range(51)]
    assert "−5 min" in plain(points, 100)[-1]


@pytest.mark.fault("V10")
def test_ascii() -> None:
    segments = [Segment(line) for line in plain(trail(*[842.0] * 60), 1024)]
    lines = [segment.text for segment in AsciiFilter().apply(segments, Color(0, 0, 0))]
    assert all(line.isascii() for line in lines)
    assert "#" in lines[-2]


@given(
    values=st.lists(st.floats(0, 1e12), max_size=70),
    limit=st.one_of(st.none(), st.integers(-1, 10**12)),
    width=st.integers(1, 200),
    height=st.integers(0, 30),
)
def test_any_points_fit_the_box(values: list[float], limit: int | None, width: int, height: int) -> None:
    lines = plain(trail(*values), limit, width, height)
    assert len(lines) <= max(height, 0)
    assert all(cell_len(line) <= width for line in lines)
