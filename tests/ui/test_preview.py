"""The preview: all of it can be read, and only the word, typed, lets it go ahead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from textual import events

from sockmon.model.helper_protocol import Answer, Apply, ChangeResult, ReadSettings, Request, RequestFailed
from sockmon.model.plan import Proposal
from sockmon.tuning.confirmation import KEY_HELD_DOWN, PASTED, TOO_EARLY, WORD, WRONG_WORD
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.draft import suggested_changes
from sockmon.tuning.planning.plan import make_plan
from sockmon.ui.confirming.confirm_screen import ANSWER_TIMEOUT
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning.preview import PreviewScreen
from tests.ui import fake_app
from tests.ui.fake_helper import (
    BOB,
    BOOT,
    RANGE,
    RESERVED,
    SOMAXCONN,
    VALUES,
    FakeHelper,
    press_at,
    running_app,
    screen_text,
    transaction,
    type_text,
    until,
    without_frames,
)

SIZES = [(160, 50), (80, 24)]
WIDER = {RANGE: "1024 65535", SOMAXCONN: "8192"}


def proposal(wanted: dict[str, str] = WIDER, listener: str = "") -> Proposal:
    """What changing the range and the backlog does on the stage; `listener` listens inside the new range."""
    snapshot = fake_app.busy(60)
    if listener:
        netns = snapshot.netns[0]
        listeners = tuple(
            replace(row, owner=replace(row.owner, name=listener) if row.owner else None)
            for row in netns.listeners or ()
        )
        snapshot = replace(snapshot, netns=(replace(netns, listeners=listeners),))
    return make_plan(
        wanted, PlanContext(values=VALUES, netns_inode=fake_app.NETNS, boot_id=BOOT, snapshot=snapshot)
    )


def applied(helper: FakeHelper) -> list[Any]:
    return helper.asked_for(Apply)


async def test_the_word_applies_the_plan_and_leads_back_to_the_board() -> None:
    helper, found = FakeHelper(), proposal()
    async with running_app(helper) as (app, pilot):
        app.preview(found)
        await pilot.pause()
        await type_text(app, pilot, WORD)
        (sent,) = applied(helper)
        assert sent == Apply(replace(found.plan, reasons=sent.plan.reasons), 60.0)
        # The alarms that name a setting of the plan as their remedy.
        assert "ephemeral-ports" in {each.ceiling for each in sent.plan.reasons}
        await until(pilot, lambda: "PENDING" in screen_text(app))
        assert isinstance(app.screen, MainScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_says_all_and_the_word_is_always_in_sight(size: tuple[int, int]) -> None:
    async with running_app(FakeHelper(), size) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, PreviewScreen)
        said, page = "", screen.query_one("#details")
        for _ in range(99):
            shown = screen_text(app)
            assert "Type apply to confirm, Esc to leave: _____" in shown
            assert "Rolled back after 60 s unless you keep it" in without_frames(shown)
            said += without_frames(shown)
            if page.scroll_offset.y == page.max_scroll_y:
                break
            await pilot.press("down")
            await pilot.pause()
        for words in (
            "Apply 2 changes to web-1 · netns host", "32768 60999 → 1024 65535", "28,232 → 64,504 ports",
            "10.0.0.5:9000 java[77] keeps its", "Risk", "Memory", "Scope", "inside the new",
            "sysctl -w net.core.somaxconn=8192", "sysctl -w net.core.somaxconn=4096", "And back",
        ):  # fmt: skip
            assert words in said, words
        assert ("more line" in said) == (size[0] == 80)


# What is no word


def burst(text: str, gap: float) -> list[tuple[str, float]]:
    return [(char, place * gap) for place, char in enumerate(text)]


NOT_TYPED = {
    "whole": (burst(WORD, 0.0), PASTED),
    "fast": (burst(WORD, 0.003), PASTED),
    "a line": (burst("apply\r", 0.001), PASTED),
    "half": (burst("ap", 0.15) + [(char, 0.302 + at) for char, at in burst("ply", 0.002)], PASTED),
    "held a": (burst("a" * 30, 0.03), KEY_HELD_DOWN),
    "held p": (burst("ap", 0.15) + [("p", 0.3 + at * 0.03) for at in range(30)], KEY_HELD_DOWN),
    "another word": (burst("yes", 0.15), WRONG_WORD),
    "mouse garbage": (burst("\x1b[<0;5;5Mapply", 0.0005), PASTED),
    "Enter": (burst("appl\r", 0.15), "Enter does nothing"),
    "held Enter": (burst("appl", 0.15) + [("\r", 1 + at * 0.033) for at in range(40)], KEY_HELD_DOWN),
}


@pytest.mark.fault("T20")
async def test_T20_other_than_typed_letters_do_nothing_and_say_why() -> None:
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        begin = time.monotonic()
        for name, (keys, why) in NOT_TYPED.items():
            begin += 10
            for char, at in keys:
                await press_at(app, pilot, "enter" if char == "\r" else char, begin + at, char)
            assert applied(helper) == [], name
            assert why in screen_text(app), name
            assert isinstance(app.screen, PreviewScreen)
        await type_text(app, pilot, WORD, after=200)
        await until(pilot, lambda: "PENDING" in screen_text(app))
        assert len(applied(helper)) == 1


@pytest.mark.fault("T20")
async def test_T20_a_paste_event_clears_what_was_typed() -> None:
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await type_text(app, pilot, "appl")
        assert ": appl_" in screen_text(app)
        app.post_message(events.Paste("apply\ny\n"))
        await pilot.pause()
        assert PASTED in screen_text(app)
        assert ": _____" in screen_text(app)
        assert applied(helper) == []


@pytest.mark.fault("T20")
async def test_T20_keys_before_it_could_be_read_do_nothing() -> None:
    helper, drawn = FakeHelper(), time.monotonic() + 1_000
    async with running_app(helper) as (app, pilot):
        app.push_screen(PreviewScreen(proposal(), clock=lambda: drawn))
        await pilot.pause()
        for place, char in enumerate(WORD):
            await press_at(app, pilot, char, drawn - 0.1 + place * 0.08)
        assert applied(helper) == []
        assert TOO_EARLY in screen_text(app)


async def test_P6_clicks_anywhere_do_nothing() -> None:
    helper = FakeHelper()
    async with running_app(helper, (80, 24)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await type_text(app, pilot, "appl")
        for y, line in enumerate(screen_text(app).splitlines()):
            for word in ("Apply 2", "net.core.somaxconn ", "Type apply", "appl_", "Hold shorter", "Hold longer"):
                if word in line:
                    await pilot.click(offset=(line.index(word) + 1, y))
        assert applied(helper) == []
        assert isinstance(app.screen, PreviewScreen)


@pytest.mark.fault("U1")
async def test_P6_a_name_that_looks_like_markup_is_text_and_no_click_runs_it() -> None:
    helper, payload = FakeHelper(), "[@click=app.quit]x[/]"
    async with running_app(helper, (160, 50)) as (app, pilot):
        app.preview(proposal(listener=payload))
        await pilot.pause()
        lines = screen_text(app).splitlines()
        assert payload in without_frames("\n".join(lines))
        places = [(line.index(payload) + 21, y) for y, line in enumerate(lines) if payload in line]
        assert places
        for place in places:
            await pilot.click(offset=place)
        assert app.is_running
        assert isinstance(app.screen, PreviewScreen)
        assert applied(helper) == []


async def test_escape_leaves_and_nothing_is_sent() -> None:
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await type_text(app, pilot, "appl")
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)
        assert applied(helper) == []


async def test_the_letters_of_the_word_pause_nothing() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await type_text(app, pilot, "app")
        assert not app.paused
        assert ": app__" in screen_text(app)


async def test_the_time_can_be_chosen() -> None:
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        for name, count, hold in (("minus", 1, "30 s"), ("minus", 5, "10 s"), ("plus", 9, "60 min")):
            await pilot.press(*[name] * count)
            await pilot.pause()
            assert f"Rolled back after {hold} " in screen_text(app)
        await type_text(app, pilot, WORD)
        await until(pilot, lambda: "PENDING" in screen_text(app))
        assert [request.hold for request in applied(helper)] == [3600.0]


# While it is done, and where it is not


def silent(request: Request) -> list[Answer] | None:
    return [] if isinstance(request, Apply) else None


async def test_keys_are_dead_until_there_is_an_answer() -> None:
    helper, found = FakeHelper(script=silent), proposal()
    async with running_app(helper) as (app, pilot):
        app.preview(found)
        await pilot.pause()
        await type_text(app, pilot, WORD)
        await until(pilot, lambda: "Applying" in screen_text(app))
        await type_text(app, pilot, WORD, after=30)
        await pilot.press("escape", "enter", "q")
        await pilot.pause()
        assert isinstance(app.screen, PreviewScreen)
        assert len(applied(helper)) == 1
        helper.send(ChangeResult(transaction(found.plan)))
        await until(pilot, lambda: "PENDING" in screen_text(app))
        assert isinstance(app.screen, MainScreen)


def telling(state: Any, *words: str) -> Callable[[Request], list[Answer] | None]:
    def script(request: Request) -> list[Answer] | None:
        return (
            [ChangeResult(transaction(request.plan, state, messages=words))]
            if isinstance(request, Apply)
            else None
        )

    return script


@pytest.mark.fault("T16")
@pytest.mark.parametrize(
    ("state", "words", "said"),
    [
        ("refused", "net.core.somaxconn is 512 now, and 4096 when this was planned", "Not applied: "),
        ("reverted", "net.core.somaxconn: the kernel answered EINVAL", "Rolled back: "),
        ("conflict", "net.core.somaxconn was changed by somebody else", "CONFLICT: "),
        ("stuck", "net.core.somaxconn: sysctl -w net.core.somaxconn=4096", "STUCK: "),
    ],
)
async def test_T16_what_became_of_it_is_said_in_words(state: str, words: str, said: str) -> None:
    helper = FakeHelper(script=telling(state, words))
    async with running_app(helper) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await type_text(app, pilot, WORD)
        await until(pilot, lambda: said.strip() in screen_text(app))
        assert words.split(": ")[-1] in screen_text(app)
        await type_text(app, pilot, WORD, after=30)
        assert len(applied(helper)) == 1
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)


async def test_a_refusal_of_the_helper_is_said_with_its_hint() -> None:
    def script(request: Request) -> list[Answer] | None:
        return (
            [RequestFailed("/run is full: nothing was touched", "free some of it")]
            if isinstance(request, Apply)
            else None
        )

    async with running_app(FakeHelper(script=script)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await type_text(app, pilot, WORD)
        await until(
            pilot, lambda: "Not applied: /run is full: nothing was touched. Free some of it." in screen_text(app)
        )


async def test_a_helper_that_ends_meanwhile_is_said_and_one_can_leave() -> None:
    helper = FakeHelper(script=silent)
    async with running_app(helper, (80, 24)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await type_text(app, pilot, WORD)
        helper.close()
        await until(pilot, lambda: "Outcome unknown" in screen_text(app))
        assert "rolled back unless kept" in without_frames(screen_text(app))
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)


async def test_a_helper_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    now = [1_000.0]
    async with running_app(FakeHelper(script=silent)) as (app, pilot):
        app.push_screen(PreviewScreen(proposal(), clock=lambda: now[0]))
        await pilot.pause()
        begin = now[0] + 1
        for place, char in enumerate(WORD):
            await press_at(app, pilot, char, begin + place * 0.2)
        await until(pilot, lambda: "Applying" in screen_text(app))
        now[0] += ANSWER_TIMEOUT + 1
        await until(pilot, lambda: "no answer for 21 s" in without_frames(screen_text(app)).lower())
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "why",
    ["this needs root: start sockmon with sudo", "it shows another network namespace than the helper"],
)
async def test_without_the_privilege_the_commands_stand_where_the_word_would(
    why: str, size: tuple[int, int]
) -> None:
    helper = FakeHelper(cannot=why)
    async with running_app(helper, size) as (app, pilot):
        app.ask_helper(ReadSettings((RANGE,)))
        await until(pilot, lambda: app.cannot_tune == why)
        app.preview(proposal())
        await pilot.pause()
        said = without_frames(screen_text(app))
        assert why.partition(" ")[2] in said
        assert "Type apply" not in said
        assert "sudo sockmon tune apply 'net.ipv4.ip_local_port_range=1024 65535' net.core.somaxconn=8192" in said
        await type_text(app, pilot, WORD)
        assert applied(helper) == []


async def test_a_recording_says_why_nothing_can_be_applied() -> None:
    async with running_app(None, no_helper="this is a recording") as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        assert "No change can be applied. This is a recording." in without_frames(screen_text(app))
        await type_text(app, pilot, WORD)
        assert isinstance(app.screen, PreviewScreen)


@pytest.mark.fault("T12")
async def test_T12_what_another_holds_comes_first() -> None:
    helper, found = FakeHelper(), proposal()
    async with running_app(helper) as (app, pilot):
        app.preview(found)
        await pilot.pause()
        await type_text(app, pilot, "appl")
        helper.hold(transaction(found.plan, who=BOB))
        await until(pilot, lambda: "bob's change is pending" in screen_text(app))
        await type_text(app, pilot, WORD, after=30)
        assert applied(helper) == []
        helper.hold(None)
        await until(
            pilot, lambda: "Plan it again: Another change ended after this plan was made." in screen_text(app)
        )
        await type_text(app, pilot, WORD, after=60)
        assert applied(helper) == []


async def test_the_cautions_name_the_second_key() -> None:
    found = proposal()
    assert suggested_changes(found) == {RESERVED: "5432,8080,9000-9005"}
    both = proposal({**WIDER, RESERVED: "5432,8080,9000-9005"})
    assert not suggested_changes(both)


async def test_at_80x24_the_prompt_is_right_below_the_change_its_effect_and_warnings() -> None:
    async with running_app(FakeHelper(), (80, 24)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        confirm, details = app.screen.query_one("#confirm"), app.screen.query_one("#details")
        shown = without_frames(screen_text(app))
        for text in ("32768 60999 → 1024 65535", "28,232 → 64,504 ports", "inside the new", "4096 → 8192"):
            assert text in shown
        assert confirm.region.bottom == details.region.y
        assert details.region.height >= 4


async def test_a_change_that_does_not_fit_above_the_prompt_is_scrolled_first_and_counted() -> None:
    async with running_app(FakeHelper(), (80, 16)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await until(pilot, lambda: "above the prompt" in screen_text(app))
        assert app.focused is app.screen.query_one("#subject")
        assert "Type apply to confirm" in screen_text(app)
        await pilot.press("G")
        await until(pilot, lambda: "above the prompt" not in screen_text(app))
