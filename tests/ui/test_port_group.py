"""The port group screen: used of usable, by whom, in which states."""

from __future__ import annotations

import pytest

from sockmon.model.detail import ProcessQuery
from sockmon.ui.detail.port_group import PortGroupScreen
from sockmon.ui.detail.share_tables import OwnerTable
from tests.ui import detail_app
from tests.ui.detail_app import GROUP, DetailApp


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_says_all(size: tuple[int, int]) -> None:
    screen = PortGroupScreen(GROUP)
    app = DetailApp(screen, detail_app.assessment(), detail_app.group_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert set(app.asked) == {GROUP}
        assert "port group · 10.0.0.5 → 10.0.0.9:5432 · ✖ HIT" in detail_app.text_of(screen, "#title")
        assert "28,232 / 28,232 ports  100 %" in detail_app.text_of(screen, "#numbers")
        assert "range 32768–60999 · 2 reserved · 1 used by listeners" in detail_app.text_of(screen, "#numbers")
        assert detail_app.HOSTILE in detail_app.text_of(screen, "#owners")
        assert "TIME_WAIT" in detail_app.text_of(screen, "#states")
        assert "needs root" in detail_app.text_of(screen, "#missing")


async def test_a_row_of_tables_is_as_high_as_it_needs() -> None:
    screen = PortGroupScreen(GROUP)
    app = DetailApp(screen, detail_app.assessment(), detail_app.group_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert screen.query_one("#who").size.height == 5


async def test_enter_on_an_owner_opens_the_process() -> None:
    screen = PortGroupScreen(GROUP)
    app = DetailApp(screen, detail_app.assessment(), detail_app.group_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        screen.query_one(OwnerTable).focus()
        await pilot.press("j", "enter")
        await pilot.pause()
        assert app.opened == [ProcessQuery(9921, 5_000)]


async def test_a_group_that_is_not_listed_any_more_is_not_zero() -> None:
    screen = PortGroupScreen(GROUP)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.show(detail_app.assessment(detail_app.snapshot(detail_app.AT + 1, groups=()), readings=()))
        title = detail_app.text_of(screen, "#title").replace("\n", " ")
        assert "no longer among the largest groups since" in title
        assert "28,232 / 28,232" in detail_app.text_of(screen, "#numbers")
