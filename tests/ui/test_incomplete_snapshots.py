"""Snapshots that lack parts, or have numbers of 0 and of 64 bits: the screen shows the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from random import Random

import msgspec
import pytest

from sockmon.model.detail import Detail, Request
from sockmon.model.snapshot import Snapshot
from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from tests.assess.test_faults import odd_snapshot
from tests.ui.fake_helper import until


class OddSource:
    """Unusual Snapshots, one after another."""

    title, live, remote = "live", True, False

    def __init__(self, seed: int) -> None:
        self._draw = Random(seed)
        self._ended = threading.Event()
        self.sent = 0

    def lines(self) -> Iterator[Snapshot | Detail]:
        while not self._ended.wait(0.02):
            self.sent += 1
            yield msgspec.structs.replace(odd_snapshot(self._draw), at=10.0 * self.sent)

    def ask(self, request: Request) -> bool:
        return False

    def retry(self) -> None:
        """It does not end."""

    def close(self) -> None:
        self._ended.set()


@pytest.mark.fault("Q8", "R21")
@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
@pytest.mark.parametrize("seed", range(2))
async def test_the_screen_survives_missing_parts(seed: int, size: tuple[int, int]) -> None:
    source = OddSource(seed)
    app = SockmonApp(source, Settings(theme="sockmon"))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        for key in ("1", "2", "3", "4", "z", "enter", "escape", "b", "enter", "escape"):
            await pilot.press(key)
            await asyncio.sleep(0.05)
        await until(pilot, lambda: source.sent >= 15)
    assert app.return_code in (None, 0)
