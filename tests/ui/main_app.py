"""The app on fake data, as tests of the main screen use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from tests.ui import fake_app
from tests.ui.fake_helper import until


@asynccontextmanager
async def play(
    kind: str = "busy", size: tuple[int, int] = (160, 50), settings: Settings | None = None
) -> AsyncIterator[tuple[SockmonApp, Pilot[None], fake_app.FakeSource]]:
    source = fake_app.FakeSource(kind)
    app = SockmonApp(source, settings or Settings(theme="sockmon"), assessor=fake_app.FakeAssessor(kind))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await pilot.pause()
        yield app, pilot, source


def text(app: SockmonApp) -> str:
    """Return everything on the screen, as text."""
    _width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines[:height])
