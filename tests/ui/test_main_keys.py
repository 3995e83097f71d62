"""The keys of the main screen: opening rows, panes, zoom, filter, pause, help and palette."""

from __future__ import annotations

import re

import pytest
from textual._styles_cache import StylesCache
from textual.widgets import Input

from sockmon.model.detail import GroupQuery, ListenerQuery, ProcessQuery, SetInterval
from sockmon.model.report import Reading
from sockmon.settings import Settings
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.help import HelpScreen
from sockmon.ui.main.footer import LastingFooter
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.messages import Sampled
from tests.ui import fake_app
from tests.ui.fake_helper import until
from tests.ui.main_app import play, text


async def test_enter_opens_and_escape_returns() -> None:
    async with play() as (app, pilot, source):
        await pilot.press("b", "enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await pilot.press("escape", "2", "enter")
        await until(pilot, lambda: ProcessQuery(1044, 7) in source.asked)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_with_an_alarm_enter_opens_the_worst_at_once(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        assert "10.0.0.9:5432" in text(app).splitlines()[0]


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_without_an_alarm_the_processes_keep_the_focus(size: tuple[int, int]) -> None:
    async with play("calm", size) as (app, _pilot, _):
        assert app.focused is app.screen.query_one("#process-table")


async def test_an_alarm_does_not_take_the_focus_after_a_key() -> None:
    async with play("calm") as (app, pilot, _):
        await pilot.press("3")
        at = app.focused
        app.post_message(Sampled(fake_app.assess(fake_app.busy(70))))
        await until(pilot, lambda: "28,232/28,232" in text(app))
        assert app.focused is at


@pytest.mark.parametrize(("keys", "table"), [(["tab"], "process-table"), (["tab", "tab"], "groups")])
async def test_tab_moves_from_a_folded_board_to_the_visible_pane(keys: list[str], table: str) -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        await pilot.press(*keys)
        await pilot.pause()
        assert app.focused is app.screen.query_one(f"#{table}")


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_zoom_moves_the_focus_along(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("z")
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ProcessScreen))


async def test_port_groups_and_listeners_open() -> None:
    async with play() as (_app, pilot, source):
        await pilot.press("3", "enter")
        await until(pilot, lambda: GroupQuery(fake_app.NETNS, "10.0.0.5", "10.0.0.9", 5432) in source.asked)
        await pilot.press("escape", "tab", "enter")
        await until(pilot, lambda: ListenerQuery(fake_app.NETNS, 9_001) in source.asked)


async def test_zoom_and_back() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("4", "z")
        await pilot.pause()
        assert "Limits" not in text(app)
        assert "nginx: worker" not in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "Limits" in text(app)


async def test_filter_narrows_and_escape_clears() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"proc:envoy", "enter")
        await pilot.pause()
        assert "nginx: worker" not in text(app)
        assert "envoy -c /etc" in text(app)
        assert "1 of 300 match" in text(app)
        assert "proc:envoy" in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "nginx: worker" in text(app)


async def test_keys_typed_into_the_filter_are_text() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"qzp1")
        assert app.screen.query_one(Input).value == "qzp1"
        assert not app.paused


async def test_pause_freezes_the_screen_and_sampling_goes_on() -> None:
    async with play() as (app, pilot, source):
        await pilot.press("p")
        before = app.newest
        source.step()
        await until(pilot, lambda: app.newest is not before)
        assert "paused" in text(app)
        assert "904/1,024" not in text(app)
        await pilot.press("p")
        await pilot.pause()
        assert "903/1,024" in text(app)


async def test_a_new_interval_is_sent_to_the_source() -> None:
    async with play() as (_app, pilot, source):
        await pilot.press("plus")
        await pilot.press("minus")
        assert source.asked == [SetInterval(2.0), SetInterval(1.0)]


async def test_help_lists_every_action_with_the_keys_in_force() -> None:
    settings = Settings(theme="sockmon", keys={"pause": "f9"})
    async with play(size=(120, 110), settings=settings) as (app, pilot, _):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        assert "F9" in text(app)
        for word in ("Zoom", "Slower", "✖ HIT", "? unknown", "pane.ports"):
            assert word in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await pilot.press("f9")
        assert app.paused


async def test_q_exits_from_the_main_screen() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running


async def test_a_reading_can_be_opened_by_name() -> None:
    async with play() as (app, pilot, _):
        assert app.newest
        reading: Reading = app.newest.report.readings[2]
        app.open(reading)
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))


async def test_the_palette_offers_the_actions_with_their_keys() -> None:
    async with play() as (app, _pilot, _):
        offered = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"Zoom  z", "Filter  / F4", "Theme: fjord"} <= offered.keys()
        result = offered["Zoom  z"].callback()
        assert result is not None
        await result
        assert app.screen.has_class("-zoom")
        offered["Theme: fjord"].callback()
        assert app.theme == "fjord"


async def test_enter_is_offered_on_every_table() -> None:
    async with play() as (app, pilot, _):
        for pane in "2134b":
            await pilot.press(pane)
            await pilot.pause()
            assert "Enter Open" in text(app).splitlines()[-1]


async def test_a_filter_that_does_not_apply_is_named_and_hides_nothing() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"port:5432", "enter")
        await pilot.pause()
        said = text(app)
        assert said.count("not filtered: has no port") == 3
        assert "1 of 10 match" in said
        assert "envoy -c /etc" in said
        assert "10.0.0.7:6379" not in said[said.index("3 Ports") :]
        assert "more groups" not in said
        await pilot.press("escape")
        await pilot.pause()
        assert re.search(r"\d+ more groups: [\d,]+ ports", text(app))


async def test_close_wait_finds_processes_and_time_wait_finds_groups() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"state:close_wait", "enter")
        await pilot.pause()
        assert "2 of 300 match" in text(app)
        assert "groups not filtered: has only TIME_WAIT" in text(app)
        assert "not filtered: has no state" in text(app)


async def test_help_indents_wrapped_lines_on_a_narrow_terminal() -> None:
    async with play(size=(60, 40)) as (app, pilot, _):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        lines = [line.strip("│ ") for line in text(app).splitlines()]
        first = next(index for index, line in enumerate(lines) if line.startswith("✖ HIT"))
        assert text(app).splitlines()[first + 1].startswith("│" + " " * 28)


async def test_keys_that_are_no_longer_shown_are_forgotten() -> None:
    """The memory of the screen stays flat while other screens are opened and closed."""
    async with play() as (app, pilot, _):
        footer = app.screen.query_one(LastingFooter)
        for _ in range(3):
            await pilot.press("question_mark")
            await pilot.press("escape")
            await pilot.pause()
        assert sum(map(len, getattr(footer, "__watchers").values())) <= len(footer.query("FooterKey"))
        assert StylesCache.get_inner_outer.cache_info().currsize <= len(app.screen.query("*"))
