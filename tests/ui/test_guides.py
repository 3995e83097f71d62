"""Guides on the screen: the list, the way to a walk and back, and the progress that is kept."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from sockmon.guides import GUIDES, guides_to
from sockmon.kept_walks import directory
from sockmon.ui.app import SockmonApp
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.guiding.choices import choices
from sockmon.ui.guiding.guide_list import GuideList
from sockmon.ui.guiding.prompt import PromptScreen
from sockmon.ui.guiding.walk_screen import WalkScreen
from sockmon.ui.help import HelpScreen
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.widgets.table import Table
from tests.guides.walks import begin, follow, full
from tests.ui.fake_helper import FakeHelper, running_app, screen_text, until

PORTS = "cannot-assign-address"


@asynccontextmanager
async def walking(
    size: tuple[int, int] = (160, 50), guide: str = PORTS
) -> AsyncIterator[tuple[SockmonApp, Pilot[None]]]:
    async with running_app(FakeHelper(), size) as (app, pilot):
        await open_walk(app, pilot, guide)
        yield app, pilot


async def open_walk(app: SockmonApp, pilot: Pilot[None], guide: str = PORTS) -> None:
    await pilot.press("w")
    await until(pilot, lambda: isinstance(app.screen, GuideList) and bool(rows(app)))
    table = app.screen.query_one("#guides", Table)
    table.move(rows(app).index(guide))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, WalkScreen | PromptScreen))
    await pilot.pause()


def rows(app: SockmonApp) -> list[str]:
    return [row.guide.name for row in app.screen.query_one("#guides", Table).rows]


def step(app: SockmonApp) -> str:
    assert isinstance(app.screen, WalkScreen)
    return app.screen.walk.step.id


async def go_to(app: SockmonApp, pilot: Pilot[None], wanted: str) -> None:
    """Follow the evidence to a step."""
    for _ in range(10):
        if step(app) == wanted:
            return
        await pilot.press("enter")
        await pilot.pause()
    raise AssertionError(f"{wanted} was not reached from {step(app)}")


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)])
async def test_w_lists_what_fits_first_with_the_reason(size: tuple[int, int]) -> None:
    async with running_app(FakeHelper(), size) as (app, pilot):
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, GuideList) and bool(rows(app)))
        table = app.screen.query_one("#guides", Table)
        assert {row.guide for row in table.rows} == set(GUIDES)
        fit = [bool(row.why) for row in table.rows]
        assert fit == sorted(fit, reverse=True)
        assert rows(app)[0] == PORTS
        shown = screen_text(app)
        assert "Cannot assign requested address" in shown
        first = table.rows[0]
        assert (first.brief_why if size[0] == 80 else first.why)[:30] in shown
        assert re.match(r"\d+ % ", first.brief_why)


async def test_a_ceiling_leads_to_the_guide_of_its_symptom_and_w_back_to_the_walk() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await pilot.press("b", "enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        assert isinstance(app.screen, CeilingScreen)
        wanted = guides_to(app.screen.key[0])[0].name
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, WalkScreen))
        assert app.guide_session.current
        assert app.guide_session.current.guide.name == wanted
        await go_to(app, pilot, "kind")
        app.screen.query_one("#choices", Table).action_last()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        await pilot.press("w")
        assert step(app) == "kind"


async def test_a_walk_is_left_and_continued_also_after_a_restart() -> None:
    async with walking() as (app, pilot):
        await go_to(app, pilot, "kind")
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, MainScreen)
        await pilot.press("w")
        assert step(app) == "kind"
    async with walking() as (app, pilot):
        assert step(app) == "kind"
        assert [passed.step for passed in app.screen.walk.progress.path] == ["bound", "group"]  # type: ignore[attr-defined]
        await pilot.press("N")
        await pilot.pause()
        assert step(app) == "bound"


async def test_a_damaged_file_is_reported_and_the_guide_begins() -> None:
    directory().mkdir(parents=True)
    (directory() / f"{PORTS}.json").write_text("{")
    async with walking() as (app, _):
        assert step(app) == "bound"
        assert any(PORTS in each.message for each in app._notifications)


async def test_the_number_is_asked_and_a_wrong_one_is_refused() -> None:
    async with walking(guide="stuck-at-n") as (app, pilot):
        assert isinstance(app.screen, PromptScreen)
        await pilot.press(*"many", "enter")
        assert isinstance(app.screen, PromptScreen)
        for _ in range(4):
            await pilot.press("backspace")
        await pilot.press(*"32720", "enter")
        await until(pilot, lambda: isinstance(app.screen, WalkScreen))
        assert app.guide_session.current
        assert app.guide_session.current.progress.number == "32720"


async def test_another_branch_can_be_taken_and_a_step_back() -> None:
    async with walking() as (app, pilot):
        await pilot.press("j", "enter")
        assert step(app) == "unbind"
        assert isinstance(app.screen, WalkScreen)
        assert app.screen.walk.progress.path[0].by == "reader"
        await pilot.press("backspace")
        assert step(app) == "bound"
        await pilot.press("backspace")
        assert step(app) == "bound"


def test_a_refused_change_is_left_out_by_one_choice() -> None:
    walk, _ = begin(full())
    list(follow(walk))
    offered = choices(walk, refused=True)
    assert [(each.kind, each.target) for each in offered[:2]] == [("refuse", "run-commands"), ("take", "check")]
    assert [each.target for each in offered].count("run-commands") == 1


async def test_after_the_end_of_a_walk_w_lists_the_guides() -> None:
    async with walking((80, 24)) as (app, pilot):
        while (exits := app.screen.walk.exits) and app.screen.walk.outcome is None:  # type: ignore[attr-defined]
            app.screen._go(partial(app.screen.walk.take, exits[-1].to))  # type: ignore[attr-defined]
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, MainScreen)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, GuideList))


async def test_a_narrow_list_has_room_for_the_symptoms() -> None:
    async with running_app(FakeHelper(), (80, 24)) as (app, pilot):
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, GuideList) and bool(rows(app)))
        shown = screen_text(app)
        others = [row.guide for row in app.screen.query_one("#guides", Table).rows if not row.why][:3]
        assert all(guide.title in shown and guide.brief in shown for guide in others)


async def test_the_help_in_a_walk_begins_with_its_keys() -> None:
    async with walking((80, 24)) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        shown = screen_text(app)
        assert shown.index("ON THIS SCREEN") < shown.index("Go to the step before")


async def test_each_guide_asks_with_its_own_example() -> None:
    for guide, example in (("stuck-at-n", "32720"), ("before-a-launch", "10000")):
        async with walking(guide=guide) as (app, pilot):
            assert isinstance(app.screen, PromptScreen)
            assert app.screen.query_one(Input).placeholder == example
            await pilot.press(*"many")
            await until(pilot, lambda: f"not a number such as {example}" in screen_text(app))  # noqa: B023


async def test_footer_help_and_palette_name_the_keys() -> None:
    async with walking((80, 24)) as (app, pilot):
        footer = screen_text(app).splitlines()[-1]
        assert all(word in footer for word in ("Take", "Step back", "Copy", "File", "Guides", "Help"))
        names = [command.title for command in app.get_system_commands(app.screen)]
        for name in ("Guides", "Step back", "Again", "Copy", "File"):
            assert any(title.startswith(f"{name} ") for title in names), name
        await pilot.press("escape", "escape")
        assert all(word in screen_text(app).splitlines()[-1] for word in ("Guides", "Help"))
