"""Whole screens over a real recording, compared cell by cell; `pytest --snapshot-update` accepts new ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from screenshots.make import PICTURES, Picture, go
from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from tests.ui.fake_app import FakeAssessor, FakeSource, readings
from tests.ui.fake_helper import FakeHelper, screen_text, until
from tests.ui.many_netns import WALL, ManyNetnsSource


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture(picture: Picture, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    assert snap_compare(picture.app(), terminal_size=picture.size, run_before=lambda pilot: go(pilot, picture))


@pytest.mark.parametrize("size", [(160, 50), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_tuning(size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    """The panel and the preview on the stage, from a ceiling on."""
    app = SockmonApp(FakeSource(), Settings(theme="sockmon"), assessor=FakeAssessor(), helper=FakeHelper())

    async def preview(pilot: Pilot[None]) -> None:
        await plan(pilot)
        await pilot.press("v")
        await pilot.pause(0.2)

    async def plan(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.newest is not None and app.helper_status is not None)
        app.tune(readings("busy", 60)[0])
        await until(pilot, lambda: "1 change" in screen_text(app))
        await pilot.press("j", "a", "a")
        await until(pilot, lambda: "3 changes" in screen_text(app))
        await pilot.pause(0.2)

    run = plan if size[0] == 160 else preview
    assert snap_compare(app, terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [(160, 50), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_namespaces(
    size: tuple[int, int], snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with 24 containers, of which three are in trouble; on the small screen one of them is chosen."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    source = ManyNetnsSource(24)
    app = SockmonApp(source, Settings(theme="sockmon"))

    async def run(pilot: Pilot[None]) -> None:
        for _ in range(3):
            source.step()
        await until(pilot, lambda: app.newest is not None and app.newest.snapshot.wall >= WALL + 63)
        await pilot.press("5")
        if size[0] == 80:
            await pilot.press("enter")
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=run)
