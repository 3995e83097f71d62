"""The preview: all of it can be read, and only the word, typed, lets it go ahead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from textual import events

from sockmon.model.change import Proposal
from sockmon.model.desk import Answer, Apply, Failed, Look, Request, Told
from sockmon.tuning.here import Here
from sockmon.tuning.plan import plan
from sockmon.ui.screens.main import MainScreen
from sockmon.ui.screens.preview import PATIENCE, PreviewScreen
from sockmon.ui.typed import EARLY, HELD, PASTED, WORD, WRONG
from tests.ui import stage
from tests.ui.desk import (
    BOB,
    BOOT,
    RANGE,
    RESERVED,
    SOMAXCONN,
    VALUES,
    FakeDesk,
    flat,
    key,
    seen,
    sitting,
    transaction,
    typing,
    until,
)

SIZES = [(160, 50), (80, 24)]
WIDER = {RANGE: "1024 65535", SOMAXCONN: "8192"}


def proposal(wanted: dict[str, str] = WIDER, listener: str = "") -> Proposal:
    """What changing the range and the backlog does on the stage; `listener` listens inside the new range."""
    snapshot = stage.busy(60)
    if listener:
        netns = snapshot.netns[0]
        listeners = tuple(
            replace(row, owner=replace(row.owner, name=listener) if row.owner else None)
            for row in netns.listeners or ()
        )
        snapshot = replace(snapshot, netns=(replace(netns, listeners=listeners),))
    return plan(wanted, Here(values=VALUES, netns=stage.NETNS, boot_id=BOOT, snapshot=snapshot))


def applied(desk: FakeDesk) -> list[Any]:
    return desk.asked_for(Apply)


async def test_the_word_applies_the_plan_and_leads_back_to_the_board() -> None:
    desk, found = FakeDesk(), proposal()
    async with sitting(desk) as (app, pilot):
        app.preview(found)
        await pilot.pause()
        await typing(app, pilot, WORD)
        assert applied(desk) == [Apply(found.plan, 60.0)]
        await until(pilot, lambda: "HOLDING" in seen(app))
        assert isinstance(app.screen, MainScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_says_all_and_the_word_is_always_in_sight(size: tuple[int, int]) -> None:
    async with sitting(FakeDesk(), size) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, PreviewScreen)
        said, page = "", screen.query_one("#page")
        for _ in range(40):
            shown = seen(app)
            assert "Type apply to go on, Esc to leave: _____" in shown
            assert "Goes back by itself after 60 s unless kept" in flat(shown)
            said += flat(shown)
            if page.scroll_offset.y == page.max_scroll_y:
                break
            await pilot.press("pagedown")
            await pilot.pause()
        for words in (
            "Apply 2 changes to web-1 · netns host", "32768 60999 → 1024 65535", "28,232 → 64,504 ports",
            "10.0.0.5:9000 java[77] keeps its backlog of 128", "Risk", "Memory", "Whose", "▲ Inside the new range",
            "sysctl -w net.core.somaxconn=8192", "sysctl -w net.core.somaxconn=4096", "And back",
        ):  # fmt: skip
            assert words in said, words
        assert ("lines more" in said) == (size[0] == 80)


# What is no word


def burst(text: str, gap: float) -> list[tuple[str, float]]:
    return [(char, place * gap) for place, char in enumerate(text)]


NOT_TYPED = {
    "whole": (burst(WORD, 0.0), PASTED),
    "fast": (burst(WORD, 0.003), PASTED),
    "a line": (burst("apply\r", 0.001), PASTED),
    "half": (burst("ap", 0.15) + [(char, 0.302 + at) for char, at in burst("ply", 0.002)], PASTED),
    "held a": (burst("a" * 30, 0.03), HELD),
    "held p": (burst("ap", 0.15) + [("p", 0.3 + at * 0.03) for at in range(30)], HELD),
    "another word": (burst("yes", 0.15), WRONG),
    "mouse garbage": (burst("\x1b[<0;5;5Mapply", 0.0005), PASTED),
    "Enter": (burst("appl\r", 0.15), "Enter does nothing"),
    "held Enter": (burst("appl", 0.15) + [("\r", 1 + at * 0.033) for at in range(40)], HELD),
}


async def test_T20_other_than_typed_letters_do_nothing_and_say_why() -> None:
    desk = FakeDesk()
    async with sitting(desk) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        begin = time.monotonic()
        for name, (keys, why) in NOT_TYPED.items():
            begin += 10
            for char, at in keys:
                await key(app, pilot, "enter" if char == "\r" else char, begin + at, char)
            assert applied(desk) == [], name
            assert why in seen(app), name
            assert isinstance(app.screen, PreviewScreen)
        await typing(app, pilot, WORD, after=200)
        await until(pilot, lambda: "HOLDING" in seen(app))
        assert len(applied(desk)) == 1


async def test_T20_a_paste_event_clears_what_was_typed() -> None:
    desk = FakeDesk()
    async with sitting(desk) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await typing(app, pilot, "appl")
        assert ": appl_" in seen(app)
        app.post_message(events.Paste("apply\ny\n"))
        await pilot.pause()
        assert PASTED in seen(app)
        assert ": _____" in seen(app)
        assert applied(desk) == []


async def test_T20_keys_before_it_could_be_read_do_nothing() -> None:
    desk, drawn = FakeDesk(), time.monotonic() + 1_000
    async with sitting(desk) as (app, pilot):
        app.push_screen(PreviewScreen(proposal(), clock=lambda: drawn))
        await pilot.pause()
        for place, char in enumerate(WORD):
            await key(app, pilot, char, drawn - 0.1 + place * 0.08)
        assert applied(desk) == []
        assert EARLY in seen(app)


async def test_P6_clicks_anywhere_do_nothing() -> None:
    desk = FakeDesk()
    async with sitting(desk, (80, 24)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await typing(app, pilot, "appl")
        for y, line in enumerate(seen(app).splitlines()):
            for word in ("Apply 2", "net.core.somaxconn ", "Type apply", "appl_", "Hold shorter", "Hold longer"):
                if word in line:
                    await pilot.click(offset=(line.index(word) + 1, y))
        assert applied(desk) == []
        assert isinstance(app.screen, PreviewScreen)


async def test_P6_a_name_that_looks_like_markup_is_text_and_no_click_runs_it() -> None:
    desk, payload = FakeDesk(), "[@click=app.quit]x[/]"
    async with sitting(desk, (160, 50)) as (app, pilot):
        app.preview(proposal(listener=payload))
        await pilot.pause()
        lines = seen(app).splitlines()
        assert payload in flat("\n".join(lines))
        places = [(line.index(payload) + 21, y) for y, line in enumerate(lines) if payload in line]
        assert places
        for place in places:
            await pilot.click(offset=place)
        assert app.is_running
        assert isinstance(app.screen, PreviewScreen)
        assert applied(desk) == []


async def test_escape_leaves_and_nothing_is_sent() -> None:
    desk = FakeDesk()
    async with sitting(desk) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await typing(app, pilot, "appl")
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)
        assert applied(desk) == []


async def test_the_letters_of_the_word_pause_nothing() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await typing(app, pilot, "app")
        assert not app.paused
        assert ": app__" in seen(app)


async def test_the_time_can_be_chosen() -> None:
    desk = FakeDesk()
    async with sitting(desk) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        for name, count, hold in (("minus", 1, "30 s"), ("minus", 5, "10 s"), ("plus", 9, "60 min")):
            await pilot.press(*[name] * count)
            await pilot.pause()
            assert f"Goes back by itself after {hold} " in seen(app)
        await typing(app, pilot, WORD)
        await until(pilot, lambda: "HOLDING" in seen(app))
        assert [request.hold for request in applied(desk)] == [3600.0]


# While it is done, and where it is not


def silent(request: Request) -> list[Answer] | None:
    return [] if isinstance(request, Apply) else None


async def test_keys_are_dead_until_there_is_an_answer() -> None:
    desk, found = FakeDesk(script=silent), proposal()
    async with sitting(desk) as (app, pilot):
        app.preview(found)
        await pilot.pause()
        await typing(app, pilot, WORD)
        await until(pilot, lambda: "Applying" in seen(app))
        await typing(app, pilot, WORD, after=30)
        await pilot.press("escape", "enter", "q")
        await pilot.pause()
        assert isinstance(app.screen, PreviewScreen)
        assert len(applied(desk)) == 1
        desk.say(Told(transaction(found.plan)))
        await until(pilot, lambda: "HOLDING" in seen(app))
        assert isinstance(app.screen, MainScreen)


def telling(state: Any, *words: str) -> Callable[[Request], list[Answer] | None]:
    def script(request: Request) -> list[Answer] | None:
        return [Told(transaction(request.plan, state, words=words))] if isinstance(request, Apply) else None

    return script


@pytest.mark.parametrize(
    ("state", "words", "said"),
    [
        ("refused", "net.core.somaxconn is 512 now, and 4096 when this was planned", "Nothing was done: "),
        ("reverted", "net.core.somaxconn: the kernel answered EINVAL", "It went back: "),
        ("conflict", "net.core.somaxconn was changed by somebody else", "CONFLICT: "),
        ("stuck", "net.core.somaxconn: sysctl -w net.core.somaxconn=4096", "STUCK: "),
    ],
)
async def test_T16_what_became_of_it_is_said_in_words(state: str, words: str, said: str) -> None:
    desk = FakeDesk(script=telling(state, words))
    async with sitting(desk) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await typing(app, pilot, WORD)
        await until(pilot, lambda: said.strip() in seen(app))
        assert words.split(": ")[-1] in seen(app)
        await typing(app, pilot, WORD, after=30)
        assert len(applied(desk)) == 1
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)


async def test_a_refusal_of_the_desk_is_said_with_its_hint() -> None:
    def script(request: Request) -> list[Answer] | None:
        return (
            [Failed("/run is full: nothing was touched", "free some of it")]
            if isinstance(request, Apply)
            else None
        )

    async with sitting(FakeDesk(script=script)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await typing(app, pilot, WORD)
        await until(
            pilot, lambda: "Nothing was done: /run is full: nothing was touched. Free some of it." in seen(app)
        )


async def test_a_desk_that_ends_meanwhile_is_said_and_one_can_leave() -> None:
    desk = FakeDesk(script=silent)
    async with sitting(desk, (80, 24)) as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        await typing(app, pilot, WORD)
        desk.close()
        await until(pilot, lambda: "Not known what became of it" in seen(app))
        assert "goes back by itself" in flat(seen(app))
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)


async def test_a_desk_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    now = [1_000.0]
    async with sitting(FakeDesk(script=silent)) as (app, pilot):
        app.push_screen(PreviewScreen(proposal(), clock=lambda: now[0]))
        await pilot.pause()
        begin = now[0] + 1
        for place, char in enumerate(WORD):
            await key(app, pilot, char, begin + place * 0.2)
        await until(pilot, lambda: "Applying" in seen(app))
        now[0] += PATIENCE + 1
        await until(pilot, lambda: "there is no answer for 21 s" in flat(seen(app)).lower())
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, MainScreen)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "why", ["this needs root: start sockmon with sudo", "it shows another network namespace than that of the desk"]
)
async def test_without_the_privilege_the_commands_stand_where_the_word_would(
    why: str, size: tuple[int, int]
) -> None:
    desk = FakeDesk(cannot=why)
    async with sitting(desk, size) as (app, pilot):
        app.ask_desk(Look((RANGE,)))
        await until(pilot, lambda: app.cannot_tune == why)
        app.preview(proposal())
        await pilot.pause()
        said = flat(seen(app))
        assert why.partition(" ")[2] in said
        assert "Type apply" not in said
        assert "sudo sockmon tune apply 'net.ipv4.ip_local_port_range=1024 65535' net.core.somaxconn=8192" in said
        await typing(app, pilot, WORD)
        assert applied(desk) == []


async def test_a_recording_says_why_nothing_can_be_applied() -> None:
    async with sitting(None, no_desk="this is a recording") as (app, pilot):
        app.preview(proposal())
        await pilot.pause()
        assert "Nothing can be applied from here. This is a recording." in flat(seen(app))
        await typing(app, pilot, WORD)
        assert isinstance(app.screen, PreviewScreen)


async def test_T12_what_another_holds_comes_first() -> None:
    desk, found = FakeDesk(), proposal()
    async with sitting(desk) as (app, pilot):
        app.preview(found)
        await pilot.pause()
        await typing(app, pilot, "appl")
        desk.hold(transaction(found.plan, who=BOB))
        await until(pilot, lambda: "bob's change is held" in seen(app))
        await typing(app, pilot, WORD, after=30)
        assert applied(desk) == []
        desk.hold(None)
        await until(pilot, lambda: "Made before another change ended: Its numbers may be old." in seen(app))
        await typing(app, pilot, WORD, after=60)
        assert applied(desk) == []


async def test_the_cautions_name_the_second_key() -> None:
    found = proposal()
    assert any(warning.endswith("with it") for each in found.previews for warning in each.warnings)
    both = proposal({**WIDER, RESERVED: "5432,8080,9000-9005"})
    assert not any("listens" in warning for each in both.previews for warning in each.warnings)
