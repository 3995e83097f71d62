"""The app with a change pending: what the tests of the hold bar, its keys and the held change play with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.events import Key
from textual.pilot import Pilot

from sockmon.model.helper_protocol import ResolveHold
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import Transaction
from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning.held_change import (
    MIN_READ_SECONDS,
)
from sockmon.ui.tuning.key_press import MIN_KEY_GAP
from tests.ui import fake_app
from tests.ui.fake_helper import BOOT, RANGE, SOMAXCONN, FakeHelper, transaction, until
from tests.ui.main_app import text

PLAN = Plan(
    (Setting(RANGE, "32768 60999", "1024 65535"), Setting(SOMAXCONN, "4096", "65535")), fake_app.NETNS, BOOT
)
ID = transaction(PLAN).id
STUCK = f"{SOMAXCONN} could not be put back: Invalid argument; sysctl -w {SOMAXCONN}=4096"


class Clock:
    """Time that goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """An app with a helper, what it shows, and a clock for what is held."""

    def __init__(self, app: SockmonApp, pilot: Pilot[None], helper: FakeHelper) -> None:
        self.app, self.pilot, self.helper = app, pilot, helper
        self.clock = app.helper_session.hold.clock = Clock()

    async def held(self, left: float = 41.0, **changes: object) -> Transaction:
        """Something is held, long enough to have been read."""
        held = transaction(PLAN, **changes)  # type: ignore[arg-type]
        self.helper.hold(held, left)
        await self.says("PENDING")
        self.clock.now += MIN_READ_SECONDS
        return held

    async def says(self, *words: str) -> None:
        """The screen says it, sooner or later."""
        await until(self.pilot, lambda: all(word in text(self.app) for word in words))

    async def key(self, key: str, at: float) -> None:
        """A key that was read at `at` by the terminal's clock."""
        event = Key(key, key if len(key) == 1 else None)
        event.time = at
        self.app.post_message(event)
        await self.pilot.pause()

    async def settle(self) -> None:
        """Wait until the effect of a key is complete."""
        await asyncio.sleep(MIN_KEY_GAP * 3)
        await self.pilot.pause()

    @property
    def decided(self) -> list[ResolveHold]:
        return [each for each in self.helper.asked if isinstance(each, ResolveHold)]


@asynccontextmanager
async def play(
    size: tuple[int, int] = (160, 50),
    settings: Settings | None = None,
    read_only: bool = False,
    deaf: bool = False,
) -> AsyncIterator[Seen]:
    """A busy host with a helper; `deaf`: it answers nothing by itself."""
    helper = FakeHelper(script=lambda _: [] if deaf else None)
    app = SockmonApp(
        fake_app.FakeSource(),
        settings or Settings(theme="sockmon"),
        read_only,
        fake_app.FakeAssessor(),
        helper=helper,
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await until(pilot, lambda: app.helper_status is not None or read_only)
        yield Seen(app, pilot, helper)
