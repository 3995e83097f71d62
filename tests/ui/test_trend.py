"""The plot: its scale, its limit, honest gaps, and that it redraws only what changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sockmon.assess import Point
from sockmon.ui.widgets.trend import Ink, plot

NOW = 1_000.0


def trail(*values: float, first: float = NOW - 59) -> list[Point]:
    return [Point(first + index, value) for index, value in enumerate(values)]


def plain(
    points: list[Point], limit: int | None, width: int = 60, height: int = 9, ascii: bool = False
) -> list[str]:
    return [line.plain for line in plot(points, limit, width, height, NOW, Ink(ascii=ascii))]


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


def test_full_is_only_what_is_full() -> None:
    lines = plain(trail(*[99.9] * 60), 100)
    assert "⣿" not in area(lines[1])


def test_beyond_the_limit_breaks_the_line() -> None:
    lines = plain(trail(*[100.0] * 30, *[129.0] * 30), 128)
    assert "█" in lines[0]
    assert "╌" in lines[0]


def test_far_below_the_limit_says_its_scale() -> None:
    lines = plain(trail(*[3_276.0] * 60), 262_144)
    assert lines[0] == "scaled to its own peak; limit 262,144 is 80× higher"
    assert lines[1].startswith("3,276 ┤")
    assert not any("limit" in line for line in lines[1:])


def test_a_known_zero_is_drawn_and_a_hole_is_not() -> None:
    assert "⣀" in plain(trail(*[0.0] * 60), 100)[-2]
    points = trail(*[40.0] * 20) + trail(*[50.0] * 20, first=NOW - 19)
    row = area(plain(points, 100)[-2])
    assert "   " in row.strip()
    assert set(area(plain([], 100)[-2])) == {" "}


def test_silence_until_now_stays_empty() -> None:
    row = area(plain(trail(*[50.0] * 30), 100)[-2])
    assert row.endswith(" " * 20)


def test_a_longer_trail_takes_a_longer_span() -> None:
    points = [Point(NOW - 250 + 5 * index, 50.0) for index in range(51)]
    assert "−5 min" in plain(points, 100)[-1]


def test_ascii() -> None:
    lines = plain(trail(*[842.0] * 60), 1024, ascii=True)
    assert all(line.isascii() for line in lines)
    assert "#" in lines[-2]


@given(
    values=st.lists(st.floats(0, 1e12), max_size=70),
    limit=st.one_of(st.none(), st.integers(-1, 10**12)),
    width=st.integers(1, 200),
    height=st.integers(0, 30),
    ascii=st.booleans(),
)
def test_any_trail_fits_its_box(
    values: list[float], limit: int | None, width: int, height: int, ascii: bool
) -> None:
    lines = plain(trail(*values), limit, width, height, ascii)
    assert len(lines) <= max(height, 0)
    assert all(cell_len(line) <= width for line in lines)
