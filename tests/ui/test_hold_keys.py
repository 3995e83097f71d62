"""The keys that keep, persist or roll back: a person presses them once, and nothing else does."""

from __future__ import annotations

import pytest
from textual.events import Key, Paste
from textual.widgets import Input

from sockmon.model.helper_protocol import RequestFailed, ResolveHold
from sockmon.model.plan import Plan, Setting
from sockmon.settings import Settings
from sockmon.ui import key_queue
from sockmon.ui.help import HelpScreen
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning.held_change import (
    CONFIRM_SECONDS,
    MIN_READ_SECONDS,
)
from sockmon.ui.tuning.history import HistoryScreen
from sockmon.ui.tuning.key_press import MIN_KEY_GAP, MIN_REPEAT_GAP
from sockmon.ui.tuning.panel import TuningPanel
from tests.ui import fake_app
from tests.ui.fake_helper import BOOT, transaction, until
from tests.ui.held_app import ID, PLAN, play
from tests.ui.main_app import text


@pytest.mark.parametrize(
    ("key", "wish", "words"),
    [
        ("K", ResolveHold("keep", ID), "2 changes until reboot"),
        ("U", ResolveHold("revert", ID), "all old values are restored"),
    ],
)
async def test_a_key_decides(key: str, wish: ResolveHold, words: str) -> None:
    async with play() as seen:
        await seen.held()
        await seen.pilot.press(key)
        await seen.says(words)
        assert seen.decided == [wish]
        assert "s left" not in text(seen.app)


async def test_a_key_decides_on_a_page_over_another_one_too() -> None:
    async with play() as seen:
        await seen.held()
        await seen.pilot.press("question_mark")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HelpScreen))
        await seen.pilot.press("U")
        await until(seen.pilot, lambda: seen.decided == [ResolveHold("revert", ID)])


async def test_the_keys_do_nothing_where_nothing_is_held() -> None:
    async with play() as seen:
        await seen.pilot.press("K", "P", "U")
        await seen.settle()
        assert seen.decided == []


@pytest.mark.fault("T20")
async def test_persisting_needs_a_second_press_that_knows_what_will_be_written() -> None:
    async with play((80, 24)) as seen:
        await seen.held()
        await seen.key("P", 5_000.0)
        await seen.says("▲ Press P again to write /etc/sysctl.d/90-sockmon.conf:", "= 1024 65535", "= 65535")
        await seen.says("PENDING", "[K] keep", "[P] persist", "[U] roll back", "s left")
        assert seen.decided == []
        await seen.key("P", 5_000.0 + MIN_REPEAT_GAP)
        await seen.says("PERSISTED", "written to /etc/sysctl.d/90-sockmon.conf")
        assert seen.decided == [ResolveHold("keep", ID, persist=True)]


@pytest.mark.parametrize("between", ["x", "down", "escape", "k", "p"])
async def test_another_key_takes_the_first_press_back(between: str) -> None:
    async with play() as seen:
        await seen.held()
        await seen.key("P", 5_000.0)
        await seen.says("Press P again")
        await seen.key(between, 5_001.0)
        await until(seen.pilot, lambda: "Press P again" not in text(seen.app))
        await seen.key("P", 5_002.0)
        await seen.says("Press P again")
        assert seen.decided == []


async def test_the_first_press_lapses() -> None:
    async with play() as seen:
        await seen.held(300.0)
        await seen.key("P", 5_000.0)
        await seen.says("Press P again")
        seen.clock.now += CONFIRM_SECONDS
        await until(seen.pilot, lambda: "Press P again" not in text(seen.app))
        await seen.key("P", 5_000.0 + CONFIRM_SECONDS)
        await seen.says("Press P again")
        assert seen.decided == []


async def test_K_and_U_still_decide_at_once_after_the_first_press() -> None:
    for key, wish in (("K", ResolveHold("keep", ID)), ("U", ResolveHold("revert", ID))):
        async with play() as seen:
            await seen.held()
            await seen.key("P", 5_000.0)
            await seen.says("Press P again")
            await seen.key(key, 5_001.0)
            await until(seen.pilot, lambda: bool(seen.decided))
            assert seen.decided == [wish]


async def test_the_first_press_counts_for_the_change_that_was_pending_then() -> None:
    async with play() as seen:
        await seen.held()
        await seen.key("P", 5_000.0)
        await seen.says("Press P again")
        seen.helper.hold(transaction(PLAN, id="20250615-150700-cd34"))
        await until(seen.pilot, lambda: "Press P again" not in text(seen.app))
        seen.clock.now += MIN_READ_SECONDS
        await seen.key("P", 5_002.0)
        await seen.says("Press P again")
        assert seen.decided == []


async def test_what_no_file_can_hold_is_not_asked_for() -> None:
    limit = Plan((Setting("nofile", "1024:4096", "4096:4096", 1044, 7),), fake_app.NETNS, BOOT)
    async with play((80, 24)) as seen:
        seen.helper.hold(transaction(limit), 60.0)
        await seen.says("PENDING")
        seen.clock.now += MIN_READ_SECONDS
        for at in (5_000.0, 5_002.0):
            await seen.key("P", at)
            await seen.says("/etc/sysctl.d holds sysctls only; nofile@1044")
        assert seen.decided == []


@pytest.mark.fault("T20")
async def test_T20_a_P_that_is_held_down_asks_and_never_writes() -> None:
    async with play() as seen:
        await seen.held(300.0)
        for number in range(60):
            await seen.key("P", 5_000.0 + (0.25 + number * 0.033 if number else 0.0))
            if not number:
                await seen.says("Press P again")
        await seen.says("Too fast")
        await seen.settle()
        assert seen.decided == []


@pytest.mark.fault("T20")
@pytest.mark.parametrize("key", ["K", "U"])
async def test_T20_a_key_that_was_down_before_does_not_decide(key: str) -> None:
    async with play() as seen:
        seen.helper.hold(transaction(PLAN))
        await seen.says("PENDING")
        at = 5_000.0
        await seen.key(key, at)
        seen.clock.now += MIN_READ_SECONDS
        for repeat in range(20):
            await seen.key(key, at + 0.66 + repeat * 0.033)
        await seen.settle()
        assert seen.decided == []
        await seen.key(key, at + 0.66 + 20 * 0.033 + MIN_REPEAT_GAP)
        await until(seen.pilot, lambda: len(seen.decided) == 1)


@pytest.mark.fault("T20")
@pytest.mark.parametrize("pasted", ["Keep", "xK", "KPU", "UU", "PP", "KPPU", "PPPPPPPP", "[MPKU", "[<35;80;24M"])
async def test_T20_keys_that_come_as_a_paste_do_not_decide(pasted: str) -> None:
    async with play() as seen:
        await seen.held()
        for number, char in enumerate(pasted):
            event = Key(char, char)
            event.time = 5_000.0 + number * 0.002
            seen.app.post_message(event)
        await seen.settle()
        for text_ in ("K", "P", "P", "KPPU"):
            seen.app.post_message(Paste(text_))
            await seen.settle()
        assert seen.decided == []


@pytest.mark.fault("T20")
async def test_T20_a_key_that_waits_for_the_first_of_a_paste_was_pressed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A busy screen: the time in which nothing may follow is over before the second key is given out."""
    monkeypatch.setattr(key_queue, "MAX_SECONDS", 3 * MIN_KEY_GAP)
    monkeypatch.setattr(key_queue.KeyQueue, "_send_mark", lambda self: None)
    async with play() as seen:
        await seen.held()
        for number, char in enumerate("KPPU"):
            event = Key(char, char)
            event.time = 5_000.0 + number * 0.002
            seen.app.post_message(event)
        await until(seen.pilot, lambda: seen.app._key_presses.count == 4)
        await seen.settle()
        assert seen.decided == []


@pytest.mark.fault("T20")
async def test_T20_a_click_does_not_decide() -> None:
    async with play() as seen:
        await seen.held()
        line = next(line for line in text(seen.app).splitlines() if "PENDING" in line)
        for word in ("[K] keep", "[P] persist to disk", "[U] roll back now", "PENDING"):
            await seen.pilot.click("#hold-line", offset=(line.index(word), 0))
            await seen.pilot.click("#hold-left", offset=(line.index(word), 0))
        await seen.settle()
        assert seen.decided == []
        assert not {"keep", "keep.persist", "revert"} & {
            active.binding.id for active in seen.app.screen.active_bindings.values() if active.binding.show
        }


async def test_letters_that_are_typed_somewhere_do_not_decide() -> None:
    async with play() as seen:
        await seen.held()
        await seen.pilot.press("slash", "K", "U")
        await seen.settle()
        assert seen.decided == []
        assert seen.app.screen.query_one(Input).value == "KU"
        await seen.says("Esc, then")
        await seen.pilot.press("escape")
        await until(seen.pilot, lambda: "Esc, then" not in text(seen.app))


async def test_one_wish_at_a_time() -> None:
    async with play(deaf=True) as seen:
        await seen.held()
        await seen.pilot.press("K")
        await seen.says("keeping…")
        await seen.pilot.press("U")
        await seen.settle()
        assert [each.verb for each in seen.decided] == ["keep"]


async def test_what_cannot_be_kept_goes_on_being_held() -> None:
    async with play(deaf=True) as seen:
        await seen.held()
        await seen.pilot.press("K")
        await until(seen.pilot, lambda: bool(seen.decided))
        seen.helper.send(RequestFailed("the journal cannot be written"))
        await seen.says("Not done: the journal cannot be written", "rolled back unless you keep it", "PENDING")
        await seen.key("U", 9e9)
        await until(seen.pilot, lambda: len(seen.decided) == 2)


async def test_other_keys_can_be_chosen() -> None:
    settings = Settings(theme="sockmon", keys={"keep": "f8", "revert": "ctrl+r"})
    async with play(settings=settings) as seen:
        await seen.held()
        assert "[F8] keep" in text(seen.app)
        await seen.pilot.press("K", "U")
        await seen.settle()
        assert seen.decided == []
        await seen.pilot.press("f8")
        await until(seen.pilot, lambda: seen.decided == [ResolveHold("keep", ID)])


async def test_read_only_has_no_helper_and_does_not_speak_of_keys_that_write() -> None:
    async with play(size=(160, 90), read_only=True) as seen:
        assert not seen.helper.alive
        assert seen.app.cannot_tune == "it was started read-only"
        await seen.pilot.press("K", "question_mark")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HelpScreen))
        await seen.says("What can be changed")
        assert "PENDING CHANGE" not in text(seen.app)
        assert seen.helper.asked == []


async def test_the_palette_leads_to_the_panel_and_the_history_and_decides_nothing() -> None:
    async with play() as seen:
        await seen.held()
        offered = {command.title for command in seen.app.get_system_commands(seen.app.screen)}
        assert {"Tune  t", "History  h"} <= offered
        assert not any(word in title for title in offered for word in ("Keep", "Persist", "Roll back"))
        await seen.pilot.press("colon")
        await until(seen.pilot, lambda: not isinstance(seen.app.screen, MainScreen))
        await seen.pilot.press("K")
        await seen.says("Esc, then")
        assert seen.decided == []


async def test_places_are_opened_once() -> None:
    async with play() as seen:
        await seen.pilot.press("t")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, TuningPanel))
        await seen.pilot.press("h")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HistoryScreen))
        depth = len(seen.app.screen_stack)
        await seen.pilot.press("t")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, TuningPanel))
        await seen.pilot.press("h")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HistoryScreen))
        assert len(seen.app.screen_stack) == depth


async def test_tuning_from_the_board_is_about_the_alarm_under_the_cursor() -> None:
    async with play() as seen:
        await seen.pilot.press("b")
        await until(
            seen.pilot,
            lambda: isinstance(seen.app.screen, MainScreen) and seen.app.screen.alarm_under_cursor is not None,
        )
        await seen.pilot.press("t")
        await seen.says("10.0.0.5 → 10.0.0.9:5432", "Tuning")
