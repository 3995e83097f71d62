"""The port group screen: used of usable, by whom, in which states."""

from __future__ import annotations

import pytest

from sockmon.model.detail import ProcessFocus
from sockmon.ui.screens.group import GroupScreen
from sockmon.ui.screens.shares import Owners
from tests.ui import drill
from tests.ui.drill import GROUP, Stand


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_says_all(size: tuple[int, int]) -> None:
    screen = GroupScreen(GROUP)
    app = Stand(screen, drill.assessment(), drill.group_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert set(app.asked) == {GROUP}
        assert "port group · 10.0.0.5 → 10.0.0.9:5432 · ✖ HIT" in drill.words(screen, "#title")
        assert "28,232 / 28,232 ports  100 %" in drill.words(screen, "#numbers")
        assert "range 32768–60999 · 2 reserved · 1 taken by listeners" in drill.words(screen, "#numbers")
        assert drill.HOSTILE in drill.words(screen, "#owners")
        assert "TIME_WAIT" in drill.words(screen, "#states")
        assert "needs root" in drill.words(screen, "#missing")


async def test_a_row_of_tables_is_as_high_as_it_needs() -> None:
    screen = GroupScreen(GROUP)
    app = Stand(screen, drill.assessment(), drill.group_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert screen.query_one("#who").size.height == 5


async def test_enter_on_an_owner_opens_the_process() -> None:
    screen = GroupScreen(GROUP)
    app = Stand(screen, drill.assessment(), drill.group_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        screen.query_one(Owners).focus()
        await pilot.press("j", "enter")
        await pilot.pause()
        assert app.opened == [ProcessFocus(9921, 5_000)]


async def test_a_group_that_is_not_listed_any_more_is_not_zero() -> None:
    screen = GroupScreen(GROUP)
    app = Stand(screen, drill.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.show(drill.assessment(drill.snapshot(drill.AT + 1, groups=()), readings=()))
        title = drill.words(screen, "#title").replace("\n", " ")
        assert "not among the largest groups since" in title
        assert "28,232 / 28,232" in drill.words(screen, "#numbers")
