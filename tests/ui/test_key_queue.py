"""Keys that come in one burst, as a paste without brackets or a script sends them: each reaches what it is for."""

from __future__ import annotations

import asyncio

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from sockmon.ui import key_queue
from sockmon.ui.app import SockmonApp
from sockmon.ui.fleet.app import FleetApp
from sockmon.ui.main.screen import MainScreen
from tests.ui import main_app
from tests.ui.fake_helper import until
from tests.ui.test_fleet import play as play_fleet

OF_THE_FLEET = ("slash", "w", "e", "b", "enter", "s", "S")


def send(app: SockmonApp | FleetApp, *keys: str) -> None:
    """Post all keys before the first one is taken."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def all_taken(pilot: Pilot[None]) -> None:
    app = pilot.app
    await until(pilot, lambda: not app.message_queue_size and not app._keys and app._keys._give_up is None)  # type: ignore[attr-defined]
    await pilot.pause()


async def test_a_filter_is_typed_and_set_and_the_next_keys_are_for_the_hosts() -> None:
    async with play_fleet() as stage:
        send(stage.app, *OF_THE_FLEET)
        await all_taken(stage.pilot)
        table = stage.app.fleet_screen._tables.hosts
        assert stage.app.fleet_screen._filter_line.text == "web"
        assert {"web" in name for name in stage.names} == {True}
        assert table.listed.column is not None
        assert table.has_focus


async def test_the_same_on_the_main_screen() -> None:
    async with main_app.play() as (app, pilot, _):
        send(app, "slash", *"envoy", "enter", "p", "question_mark")
        await all_taken(pilot)
        assert isinstance(app.screen_stack[-2], MainScreen)
        assert app.screen_stack[-2].query_one(Input).value == "envoy"
        assert app.paused
        assert type(app.screen).__name__ == "HelpScreen"


async def test_a_paste_comes_in_its_turn() -> None:
    async with main_app.play() as (app, pilot, _):
        send(app, "slash", "a")
        app.post_message(events.Paste("bc"))
        send(app, "d", "enter")
        await all_taken(pilot)
        assert app.screen.query_one(Input).value == "abcd"


async def test_a_key_whose_widget_is_removed_holds_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_queue, "MAX_SECONDS", 0.01)
    async with main_app.play() as (app, pilot, _):
        monkeypatch.setattr(key_queue.KeyQueue, "passed", lambda self, mark: asyncio.sleep(0))
        send(app, *"pppp", "question_mark")
        await until(pilot, lambda: type(app.screen).__name__ == "HelpScreen")
        assert not app.paused
