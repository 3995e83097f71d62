"""The editor of a value: each letter is checked, and a paste changes nothing by accident."""

from __future__ import annotations

from typing import Any

import pytest
from textual import events

from sockmon.model.helper_protocol import Apply
from sockmon.ui.app import SockmonApp
from sockmon.ui.tuning.edit import EditScreen, ValueInput
from sockmon.ui.tuning.panel import TuningPanel
from tests.ui.fake_helper import (
    RANGE,
    SOMAXCONN,
    FakeHelper,
    running_app,
    screen_text,
    until,
    without_frames,
)
from tests.ui.test_tuning_panel import SIZES, go, panel


async def editing(app: SockmonApp, pilot: Any, key: str) -> ValueInput:
    await go(app, pilot, key)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, EditScreen))
    await pilot.pause()
    return app.screen.query_one(ValueInput)


@pytest.mark.parametrize("size", SIZES)
async def test_a_value_is_checked_as_it_is_typed(size: tuple[int, int]) -> None:
    async with running_app(FakeHelper(), size) as (app, pilot):
        await panel(app, pilot)
        line = await editing(app, pilot, RANGE)
        assert line.value == "1024 65535"
        assert "28,232 → 64,504 ports to each destination" in without_frames(screen_text(app))
        line.value = "1024 99999"
        await pilot.pause()
        assert "last port: `99999` is more than 65,535" in without_frames(screen_text(app))
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, EditScreen), "what is wrong does not get into the plan"
        line.value = "10240 60999"
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TuningPanel))
        await pilot.pause()
        assert "32768 60999 → 10240 60999" in screen_text(app)
        assert "1 change" in screen_text(app)


@pytest.mark.fault("S24")
async def test_S24_what_is_no_value_is_refused_with_the_reason() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot)
        line = await editing(app, pilot, SOMAXCONN)
        for text, why in (
            ("", "is empty"),
            ("010", "octal"),
            ("0x10", "hexadecimal"),
            ("-1", "negative"),
            ("1e3", "exponent"),
            ("8,192", "separator"),
            ("1 2", "2 numbers"),
            ("$(reboot)", "not a number"),
            ("[/red]", "not a number"),
        ):
            line.value = text
            await pilot.pause()
            assert why in without_frames(screen_text(app))
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.screen, EditScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert "empty · Enter" in screen_text(app)


@pytest.mark.fault("S24")
async def test_S24_a_paste_that_is_not_one_plain_line_brings_nothing() -> None:
    lines = ("8192\nkernel.core_pattern=|/x", "8192\n", "8192\r", "81\u202892", "81\x8592")
    others = ("81\x0092", "\x1b[2J8192", "81\u202e92", "1" * 5000)
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot)
        line = await editing(app, pilot, SOMAXCONN)
        line.value = ""
        for text in (*lines, *others):
            app.post_message(events.Paste(text))
            await pilot.pause()
            assert line.value == ""
            assert "not pasted" in without_frames(screen_text(app))
        app.post_message(events.Paste(" 8192"))
        await pilot.pause()
        assert line.value.strip() == "8192"


@pytest.mark.fault("S24")
async def test_S24_lines_that_come_as_keys_change_nothing() -> None:
    """A terminal without bracketed paste: each line ends in Enter."""
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        await panel(app, pilot)
        await editing(app, pilot, SOMAXCONN)
        for name in ("8", "1", "9", "2", "enter", "v", "a", "p", "p", "l", "y", "enter"):
            app.post_message(events.Key(name, name if len(name) == 1 else "\r"))
        await pilot.pause()
        await pilot.pause()
        assert helper.asked_for(Apply) == []
