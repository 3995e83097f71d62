"""Two sizes of the terminal in quick succession: the newest is laid out, and keys work."""

from __future__ import annotations

import asyncio

import pytest
from textual.events import Resize
from textual.geometry import Size

from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from tests.ui.fake_app import FakeAssessor, FakeSource
from tests.ui.fake_helper import until

OLD, NEW = Size(60, 20), Size(110, 35)


@pytest.mark.parametrize("opened", ["", "?", "t"], ids=["main", "dialog", "page"])
async def test_no_screen_alternates_between_two_sizes(opened: str) -> None:
    app = SockmonApp(FakeSource(), Settings(theme="sockmon"), assessor=FakeAssessor())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await pilot.press(*opened)
        await pilot.pause()
        screen = app.screen
        laid_out: list[Size] = []
        screen.screen_layout_refresh_signal.subscribe(screen, lambda _: laid_out.append(screen.size))
        app.post_message(Resize(NEW, NEW))
        # What a screen has posted to itself for the size that it was laying out when the newest one came.
        for _ in range(3):
            screen.post_message(Resize(OLD, OLD))
            screen.call_later(lambda: None)
            screen.post_message(Resize(NEW, NEW))
            screen.call_later(lambda: None)
        for _ in range(60):
            laid_out.clear()
            await asyncio.sleep(1)
            if len(set(laid_out)) < 2:
                break
        assert len(set(laid_out)) < 2
        assert screen.size == NEW
