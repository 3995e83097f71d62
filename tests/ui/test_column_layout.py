"""The visible columns: at any width all can be reached, and hidden ones are counted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sockmon.ui.widgets.column import GAP, Column
from sockmon.ui.widgets.column_layout import MIN_FLEX_CELLS, ColumnLayout, HiddenMark


@st.composite
def tables(draw: st.DrawFn) -> list[Column[int]]:
    count = draw(st.integers(1, 14))
    flexible = draw(st.integers(-1, count - 1))
    return [
        Column(
            f"c{index}",
            0 if index == flexible else draw(st.integers(1, 40)),
            str,
            keep_when_narrow=draw(st.booleans()),
            pin=draw(st.integers(0, 3)) == 0,
            scrolled_only=draw(st.integers(0, 4)) == 0,
        )
        for index in range(count)
    ]


@settings(max_examples=300, deadline=None)
@given(tables(), st.integers(0, 200), st.integers(1, 30), st.booleans())
def test_every_column_can_be_reached_and_hidden_ones_are_counted(
    columns: list[Column[int]], width: int, flex: int, signs: bool
) -> None:
    fitting = ColumnLayout(columns, width, flex, signs)
    assert set(fitting.order) == set(columns)
    reached: set[str] = set()
    for skip in range(fitting.max_skip + 1):
        view = fitting.view(skip)
        shown = [column for column, _ in view if not isinstance(column, HiddenMark)]
        before, behind = fitting.hidden(skip)
        assert len(shown) + before + behind == len(columns)
        assert len(shown) == len(set(shown)) >= 1
        assert not before or skip
        said = [column.title for column, _ in view if isinstance(column, HiddenMark)]
        assert said == ([f"‹{before}"] * bool(before) + [f"+{behind}›"] * bool(behind)) * signs
        used = sum(cells for _, cells in view) + GAP * (len(view) - 1)
        # Where even the least does not fit it is cut at the edge, as the terminal is too small for a table.
        least = max(column.width or max(flex, MIN_FLEX_CELLS) for column in columns)
        assert used <= max(width, 2 * least + 3 * GAP + len("‹99+99›"))
        reached |= {column.title for column in shown}
    assert fitting.hidden(fitting.max_skip)[1] == 0 or fitting.max_skip == 0
    if fitting.max_skip:
        assert reached == {column.title for column in columns}


@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(1, 200), st.integers(0, 20), st.data())
def test_sorting_scrolls_to_the_column(
    columns: list[Column[int]], width: int, skip: int, data: st.DataObject
) -> None:
    fitting = ColumnLayout(columns, width, 10)
    wanted = data.draw(st.sampled_from(columns))
    now = fitting.skip_to(wanted.title, min(skip, fitting.max_skip))
    assert wanted.title in [column.title for column, _ in fitting.view(now)]
