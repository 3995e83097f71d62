"""The table: the cursor keeps its row, only changed rows are sent, hidden columns are counted."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.geometry import Region

from sockmon.ui.appearance import styles, themes
from sockmon.ui.filtering.filter import ALL, Filterable, parse
from sockmon.ui.widgets.column import cut_middle
from sockmon.ui.widgets.rows import Rows
from sockmon.ui.widgets.table import Column, Table


class Thing(NamedTuple):
    name: str
    size: int | None


COLUMNS = (
    Column[Thing]("NAME", 0, lambda row: row.name, lambda row: row.name),
    Column[Thing]("SIZE", 6, lambda row: Text(str(row.size)), lambda row: row.size, "right"),
    Column[Thing]("MORE", 20, lambda row: "more", keep_when_narrow=False),
    Column[Thing]("MOST", 20, lambda row: "most", keep_when_narrow=False),
)


class Stage(App[None]):
    def __init__(self, *columns: Column[Thing]) -> None:
        super().__init__()
        known = Filterable({"proc": ALL, "used": ALL}, lambda row: {"proc": row.name, "used": row.size})
        self.table: Table[Thing] = Table(
            columns or COLUMNS, lambda row: row.name, empty="nothing here", filterable=known
        )
        self.opened: list[Any] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.derived_variables(self.current_theme)

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        styles.install(self.console, self.get_css_variables())
        self.table.focus()

    def on_table_opened(self, event: Table.Opened) -> None:
        self.opened.append(event.row)


def rows(*sizes: int | None) -> list[Thing]:
    return [Thing(f"row{index}", size) for index, size in enumerate(sizes)]


def lines(table: Table[Thing]) -> list[str]:
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


async def test_shows_rows_under_titles() -> None:
    app = Stage()
    async with app.run_test(size=(80, 6)) as pilot:
        assert "nothing here" in lines(app.table)[1]
        app.table.show(rows(1, 22))
        await pilot.pause()
        first, second, third, *_ = lines(app.table)
        assert first.split() == ["NAME", "SIZE", "MORE", "MOST"]
        assert second.split() == ["row0", "1", "more", "most"]
        assert third.index("22") + 2 == first.index("SIZE") + 4


async def test_the_cursor_stays_on_its_row() -> None:
    app = Stage()
    async with app.run_test(size=(80, 8)) as pilot:
        app.table.show(rows(1, 2, 3))
        await pilot.press("j")
        assert app.table.selected == Thing("row1", 2)
        app.table.show(list(reversed(rows(1, 20, 3, 4))))
        assert app.table.selected == Thing("row1", 20)
        app.table.show([])
        assert app.table.selected is None
        app.table.show(rows(5))
        assert app.table.selected == Thing("row0", 5)


async def test_keys_move_within_bounds_and_scroll() -> None:
    app = Stage()
    async with app.run_test(size=(80, 6)) as pilot:
        app.table.show(rows(*range(100)))
        await pilot.press("k")
        assert app.table.selected == Thing("row0", 0)
        await pilot.press("G")
        assert app.table.selected == Thing("row99", 99)
        await pilot.pause()
        assert lines(app.table)[-1].startswith("row99")
        await pilot.press("pageup")
        await pilot.press("g")
        await pilot.pause()
        assert lines(app.table)[1].startswith("row0")
        await pilot.press("enter")
        assert app.opened == [Thing("row0", 0)]


@pytest.mark.fault("V8")
async def test_only_changed_rows_are_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Stage()
    async with app.run_test(size=(80, 10)) as pilot:
        app.table.show(rows(1, 2, 3, 4))
        await pilot.pause()
        sent: list[Region] = []
        monkeypatch.setattr(app.table, "refresh", lambda *regions, **_: sent.extend(regions or [Region()]))
        app.table.show(rows(1, 2, 3, 4))
        assert sent == []
        app.table.show(rows(1, 2, 33, 4))
        assert [region.y for region in sent] == [3]


async def test_another_theme_is_drawn_at_once() -> None:
    app = Stage()
    async with app.run_test(size=(80, 6)) as pilot:
        for name in ("nord", "textual-light", "tokyo-night"):
            app.theme = name
            # The screen draws in the same turn, before Textual has styled the widgets.
            app.table.show(rows(1, 22))
            await pilot.pause()
            base = app.table.rich_style
            drawn = {segment.style.bgcolor for segment in app.table.render_line(2) if segment.style}
            assert drawn == {base.bgcolor}


async def test_sorts_on_raw_values_with_unknown_last() -> None:
    app = Stage()
    async with app.run_test(size=(80, 10)) as pilot:
        app.table.show(rows(9, None, 100, 20))
        app.table.sort_by("SIZE")
        assert [line.split()[1] for line in lines(app.table)[1:5]] == ["100", "20", "9", "None"]
        await pilot.press("S")
        assert [line.split()[1] for line in lines(app.table)[1:5]] == ["9", "20", "100", "None"]
        assert "SIZE▴" in lines(app.table)[0]
        await pilot.press("s")
        assert [line.split()[1] for line in lines(app.table)[1:5]] == ["9", "None", "100", "20"]


HIDDEN = Column[Thing](
    "HIDDEN", 20, lambda row: f"hidden {row.size}", lambda row: row.size, "right", keep_when_narrow=False
)


async def test_sorting_reaches_every_column_and_scrolls_to_it() -> None:
    app = Stage(*COLUMNS, HIDDEN)
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(9, 100))
        await pilot.pause()
        said = []
        for _ in range(4):
            said.append((app.table.order, lines(app.table)[0].split()))
            await pilot.press("s")
        assert [order for order, _ in said] == ["", "NAME ▴", "SIZE ▾", "HIDDEN ▾"]
        assert said[0][1] == ["NAME", "SIZE", "+3›"]
        assert said[3][1] == ["NAME", "‹3", "HIDDEN▾"]
        assert app.table.order == ""
        assert lines(app.table)[0].split() == said[0][1]


async def test_left_and_right_scroll_all_columns_but_the_pinned_one() -> None:
    app = Stage(*COLUMNS, HIDDEN)
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(9, 100))
        await pilot.pause()
        seen = [lines(app.table)[0].split()]
        for _ in range(4):
            await pilot.press("right")
            seen.append(lines(app.table)[0].split())
        assert seen == [
            ["NAME", "SIZE", "+3›"],
            ["NAME", "‹1", "MORE", "+2›"],
            ["NAME", "‹2", "MOST", "+1›"],
            ["NAME", "‹3", "HIDDEN"],
            ["NAME", "‹3", "HIDDEN"],
        ]
        assert lines(app.table)[2].split() == ["row1", "hidden", "100"]
        assert all(app.table.render_line(y).cell_length == 40 for y in range(10))
        await pilot.press(*["left"] * 5)
        assert lines(app.table)[0].split() == seen[0]


async def test_a_click_on_a_hidden_mark_scrolls() -> None:
    app = Stage(*COLUMNS, HIDDEN)
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(9, 100))
        await pilot.pause()
        await pilot.click(Table, offset=(lines(app.table)[0].index("+3"), 0))
        assert lines(app.table)[0].split() == ["NAME", "‹1", "MORE", "+2›"]
        await pilot.click(Table, offset=(lines(app.table)[0].index("‹1"), 0))
        assert lines(app.table)[0].split() == ["NAME", "SIZE", "+3›"]


async def test_resizing_while_scrolled_keeps_a_valid_view() -> None:
    app = Stage(*COLUMNS, HIDDEN)
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(9, 100))
        await pilot.press("right", "right", "right")
        for width in (30, 1, 2, 7, 60, 200, 40):
            await pilot.resize_terminal(width, 10)
            await pilot.pause()
            assert {app.table.render_line(y).cell_length for y in range(10)} == {width}
        await pilot.resize_terminal(200, 10)
        await pilot.pause()
        assert lines(app.table)[0].split() == ["NAME", "SIZE", "MORE", "MOST", "HIDDEN"]


async def test_only_changed_rows_are_refreshed_while_scrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Stage(*COLUMNS, HIDDEN)
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(1, 2, 3, 4))
        await pilot.press("right", "right", "right")
        await pilot.pause()
        sent: list[Region] = []
        monkeypatch.setattr(app.table, "refresh", lambda *regions, **_: sent.extend(regions or [Region()]))
        app.table.show(rows(1, 2, 3, 4))
        assert sent == []
        app.table.show(rows(1, 2, 33, 4))
        assert [region.y for region in sent] == [3]


async def test_a_filter_hides_rows_and_the_rest_stays_sorted() -> None:
    app = Stage()
    async with app.run_test(size=(80, 10)) as pilot:
        app.table.sort_by("SIZE")
        app.table.set_filter(parse("used:>9"))
        app.table.show(rows(9, None, 100, 20))
        assert [line.split()[1] for line in lines(app.table)[1:3]] == ["100", "20"]
        assert app.table.matching == "2 of 4 match"
        app.table.set_filter(parse("port:80"))
        app.table.show(rows(9, None, 100, 20))
        assert app.table.listed.ignored_terms == "not filtered: has no port"
        assert app.table.count == 4
        app.table.set_filter(parse("nosuch"))
        app.table.show(rows(1))
        assert "nothing matches the filter" in lines(app.table)[1]
        await pilot.press("enter")
        assert app.opened == []
        assert "nothing matches the filter" in next(iter(app._notifications)).message


async def test_hidden_rows_of_unknown_owners_are_counted() -> None:
    app = Stage()
    app.table.listed = Rows(Filterable({"proc": ALL}, lambda row: {"proc": (row.name,) if row.size else ()}), "")
    async with app.run_test(size=(80, 10)):
        for typed, matching, empty in (
            ("proc:row0", "1 of 3 match, owner of 1 unknown", ""),
            ("proc:envoy", "0 of 3 match, owner of 1 unknown", "no known match: owner of 1 unknown"),
            ("row0", "1 of 3 match", ""),
            ("envoy", "0 of 3 match, owner of 1 unknown", "no known match: owner of 1 unknown"),
        ):
            app.table.set_filter(parse(typed))
            app.table.show(rows(1, 2, None))
            assert app.table.matching == matching
            assert empty in lines(app.table)[1]


async def test_removed_rows_leave_the_cursor_on_a_row() -> None:
    app = Stage()
    async with app.run_test(size=(80, 6)) as pilot:
        app.table.show(rows(*range(50)))
        app.table.sort_by("SIZE")
        await pilot.press("G")
        for left in (20, 3, 1, 0, 2):
            app.table.show(rows(*range(left)))
            await pilot.pause()
            assert app.table.cursor == max(0, min(app.table.cursor, left - 1))
            await pilot.press("enter", "j", "k", "s", "S", "right")
        assert all(row in rows(*range(20)) for row in app.opened)


async def test_the_arrow_is_visible_in_a_narrow_column() -> None:
    app = Stage(Column[Thing]("CLOSE_W", 7, lambda row: row.name, lambda row: row.name))
    async with app.run_test(size=(80, 10)):
        app.table.show(rows(1))
        app.table.sort_by("CLOSE_W", reverse=True)
        assert lines(app.table)[0].split() == ["CLOSE_▾"]


@pytest.mark.fault("V6")
async def test_without_colours_the_cursor_is_a_mark_and_no_bar_is_reversed() -> None:
    app = Stage()
    app.ansi_color = True
    async with app.run_test(size=(80, 10)) as pilot:
        app.theme = "ansi-dark"
        app.table.show(rows(1, 2))
        await pilot.press("j")
        await pilot.pause()
        assert [line[:5] for line in lines(app.table)[:3]] == [" NAME", " row0", "▸row1"]
        segments = app.table.render_line(2)
        assert not any(segment.style and segment.style.reverse for segment in segments)


def test_a_subject_is_cut_in_the_middle() -> None:
    text = Text("127.0.0.1 → 127.0.0.1:5432", style="red")
    assert cut_middle(text, 20).plain == "127.0.0.1 ….0.1:5432"
    assert cut_middle(text, 26).plain == text.plain
    assert cut_middle(Text("数据库代理进程"), 8).plain == "数据…程"


@pytest.mark.parametrize("frame", ["none", "round"])
async def test_a_click_on_a_title_sorts_and_on_the_cursor_opens(frame: str) -> None:
    app = Stage()
    app.table.styles.border = (frame, "red")  # type: ignore[assignment]
    edge = int(frame != "none")
    async with app.run_test(size=(80, 10)) as pilot:
        app.table.show(rows(1, 3, 2))
        await pilot.pause()
        size = edge + lines(app.table)[0].index("SIZE")
        await pilot.click(Table, offset=(size, edge))
        assert lines(app.table)[1].split()[1] == "3"
        await pilot.click(Table, offset=(size, edge))
        assert lines(app.table)[1].split()[1] == "1"
        await pilot.click(Table, offset=(size, edge))
        await pilot.click(Table, offset=(2, 2 + edge))
        assert app.table.selected == Thing("row2", 2)
        assert app.opened == []
        await pilot.click(Table, offset=(2, 2 + edge))
        assert app.opened == [Thing("row2", 2)]


async def test_hidden_columns_are_counted() -> None:
    app = Stage()
    async with app.run_test(size=(45, 5)) as pilot:
        app.table.show(rows(1))
        await pilot.pause()
        assert lines(app.table)[0].split() == ["NAME", "SIZE", "MORE", "+1›"]
        await pilot.resize_terminal(30, 5)
        await pilot.pause()
        assert lines(app.table)[0].split() == ["NAME", "SIZE", "+2›"]


@pytest.mark.fault("U1")
async def test_cut_text_has_an_ellipsis_and_markup_is_text() -> None:
    app = Stage()
    async with app.run_test(size=(30, 6)) as pilot:
        app.table.show([Thing("[/red][@click=app.quit]" * 5, 1), Thing("数据库代理进程数据库代理进程数据库", 2)])
        await pilot.pause()
        _, first, second, *_ = lines(app.table)
        assert first.startswith("[/red][@click")
        assert "…" in first
        assert "…" in second
        assert {app.table.render_line(y).cell_length for y in range(3)} == {30}


@pytest.mark.fault("V4")
async def test_tiny_sizes_draw() -> None:
    app = Stage()
    async with app.run_test(size=(30, 6)) as pilot:
        app.table.show(rows(1, 2, 3))
        for size in ((1, 1), (2, 1), (1, 5), (300, 100)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            app.table.show(rows(3, 2, 1))
            lines(app.table)
