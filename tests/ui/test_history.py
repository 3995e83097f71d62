"""The history: what was changed, by whom, what became of it; and the way back, to the preview."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from textual.pilot import Pilot

from sockmon.errors import Refused
from sockmon.model.change import Drift, Plan, Setting, Transaction
from sockmon.model.desk import Failed, Look, Recall
from sockmon.tuning.here import Here
from sockmon.ui.app import SockmonApp
from sockmon.ui.screens.history import ChangeScreen, HistoryScreen
from sockmon.ui.screens.main import MainScreen
from sockmon.ui.screens.preview import PreviewScreen
from sockmon.ui.settings import Settings
from sockmon.ui.undoing import UNBOUND, undoing
from tests.ui import stage
from tests.ui.desk import BOB, BOOT, RANGE, SOMAXCONN, FakeDesk, transaction
from tests.ui.test_main import text, until

SETTINGS = (Setting(RANGE, "32768 60999", "1024 65535"), Setting(SOMAXCONN, "4096", "65535"))
PLAN = Plan(SETTINGS, stage.NETNS, BOOT)
KEPT = transaction(PLAN, "kept", id="20250615T150640-c7daf1e2", persisted=True)
BACK = transaction(PLAN, "reverted", BOB, id="20250615T140000-00000000", words=("the time was up",))
EVIL = transaction(
    Plan((Setting("net.[/red]x", "[@click=app.quit]1[/]", "2"),), 7, BOOT),
    "stuck",
    msgspec.structs.replace(BOB, user="[/", login="", terminal="[$primary]"),
    id="20250615T130000-00000000",
    words=("[/red] could not be put back",),
)


@asynccontextmanager
async def play(
    *history: Transaction, size: tuple[int, int] = (160, 50), desk: FakeDesk | None = None, no_desk: str = ""
) -> AsyncIterator[tuple[SockmonApp, Pilot[None]]]:
    """The history of a host, opened."""
    if desk is not None:
        desk.history = list(history)
    app = SockmonApp(
        stage.StageSource(), Settings(theme="sockmon"), assessor=stage.FakeAssessor(), desk=desk, no_desk=no_desk
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        app.history()
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and "history" in text(app))
        yield app, pilot


async def says(app: SockmonApp, pilot: Pilot[None], *words: str) -> None:
    await until(pilot, lambda: all(word in text(app) for word in words))


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_every_change_says_when_who_what_and_what_became_of_it(size: tuple[int, int]) -> None:
    async with play(KEPT, BACK, EVIL, size=size, desk=FakeDesk()) as (app, pilot):
        await says(app, pilot, "history · 3 changes")
        lines = text(app).splitlines()
        kept = next(line for line in lines if "● kept" in line)
        for word in ("alice", f"{RANGE} 32768 6", *(["1024 65535", "yes"] if size[0] == 160 else [])):
            assert word in kept, word
        assert any("◀ went back" in line and "bob" in line for line in lines)
        assert any("✖ stuck" in line and "net.[/red]x [@click=app.quit]1[/] → 2" in line for line in lines)
        assert all(len(line) <= size[0] for line in lines)


async def test_enter_has_all_of_it() -> None:
    drift = (Drift(SOMAXCONN, "65535", "128", KEPT.id),)
    async with play(KEPT, BACK, EVIL, size=(80, 24), desk=FakeDesk()) as (app, pilot):
        await says(app, pilot, "3 changes")
        assert isinstance(app.tuning.desk, FakeDesk)
        app.tuning.desk.stand(drift=drift)
        await until(pilot, lambda: app.tuning.hold.drift == drift)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChangeScreen))
        await says(app, pilot, KEPT.id, "alice on pts/3 as root", "90-sockmon.conf", f"net:[{stage.NETNS}]", BOOT)
        assert f"{SOMAXCONN} was kept at 65535 and is 128 now" in text(app)
        # The first one hides the line about the drift.
        await pilot.press("escape", "escape", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ChangeScreen))
        await says(app, pilot, "[/red] could not be put back", "[/ on [$primary]")


async def test_what_is_held_stands_at_the_top() -> None:
    desk = FakeDesk()
    desk.held = transaction(PLAN)
    async with play(KEPT, desk=desk) as (app, pilot):
        desk.stand()
        await says(app, pilot, "◷ held now", "2 changes", "● kept")


async def test_undo_goes_to_the_preview_of_the_old_values() -> None:
    desk = FakeDesk()
    desk.values |= {RANGE: "1024 65535", SOMAXCONN: "65535"}
    async with play(KEPT, desk=desk) as (app, pilot):
        await says(app, pilot, "● kept")
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        assert isinstance(app.screen, PreviewScreen)
        plan = app.screen.proposal.plan
        assert [(each.key, each.old, each.new) for each in plan.settings] == [
            (SOMAXCONN, "65535", "4096"),
            (RANGE, "1024 65535", "32768 60999"),
        ]
        assert (plan.undoes, plan.netns, plan.boot_id) == (KEPT.id, stage.NETNS, BOOT)
        looks = [each for each in desk.asked if isinstance(each, Look)]
        assert {RANGE, SOMAXCONN} <= set(looks[-1].keys)


async def test_undo_from_the_whole_of_it() -> None:
    desk = FakeDesk()
    desk.values |= {RANGE: "1024 65535", SOMAXCONN: "65535"}
    async with play(KEPT, desk=desk) as (app, pilot):
        await says(app, pilot, "● kept")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChangeScreen))
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))


async def test_only_what_was_kept_can_be_undone() -> None:
    desk = FakeDesk()
    async with play(BACK, desk=desk) as (app, pilot):
        await says(app, pilot, "◀ went back")
        await pilot.press("u")
        await until(pilot, lambda: bool(app._notifications))
        (told,) = (notification.message for notification in app._notifications)
        assert told == "only what was kept can be taken back; this one: went back"
        assert not [each for each in desk.asked if isinstance(each, Look)]


async def test_what_somebody_changed_since_is_not_undone() -> None:
    async with play(KEPT, desk=FakeDesk()) as (app, pilot):
        await says(app, pilot, "● kept")
        await pilot.press("u")
        await until(pilot, lambda: bool(app._notifications))
        told = [notification.message for notification in app._notifications]
        assert any("somebody changed it since" in message for message in told)
        assert isinstance(app.screen, HistoryScreen)


async def test_without_a_desk_it_says_why_there_is_nothing_to_read() -> None:
    async with play(no_desk="this is a recording") as (app, pilot):
        await says(app, pilot, "there is no history to be read here: this is a recording")


async def test_what_may_not_be_read_says_why() -> None:
    desk = FakeDesk(script=lambda ask: [Failed("it is root's", "use sudo")] if isinstance(ask, Recall) else None)
    async with play(desk=desk) as (app, pilot):
        await says(app, pilot, "it is root's; use sudo")


async def test_nothing_yet_is_said() -> None:
    async with play(desk=FakeDesk()) as (app, pilot):
        await says(app, pilot, "nothing was changed yet")


# Without a screen


def here(**changes: object) -> Here:
    values = {RANGE: "1024 65535", SOMAXCONN: "65535"}
    fields = {"values": values, "netns": stage.NETNS, "boot_id": BOOT, **changes}
    return Here(**fields)  # type: ignore[arg-type]


def test_undoing_has_a_preview_for_each_setting_in_the_order_of_writing() -> None:
    proposal = undoing(KEPT, here())
    assert [each.setting for each in proposal.previews] == list(proposal.plan.settings)
    assert any("28,232" in each.effect for each in proposal.previews)
    assert any("4096" in each for each in proposal.commands)


def test_undoing_elsewhere_is_refused() -> None:
    with pytest.raises(Refused, match="another one"):
        undoing(KEPT, here(netns=7))


def test_undoing_what_is_gone_says_why() -> None:
    with pytest.raises(Refused, match="no such file"):
        undoing(KEPT, here(values={RANGE: "1024 65535"}, refused={SOMAXCONN: "no such file"}))


def test_what_was_there_before_comes_back_although_it_would_not_be_planned() -> None:
    odd = transaction(Plan((Setting(SOMAXCONN, "0", "65535"),), stage.NETNS, BOOT), "kept")
    proposal = undoing(odd, here())
    assert [(each.old, each.new) for each in proposal.plan.settings] == [("65535", "0")]
    assert proposal.previews[0].risk == UNBOUND
    assert any(f"{SOMAXCONN}=0" in each for each in proposal.commands)


def test_the_limit_of_a_process_comes_back_by_its_pid_and_start() -> None:
    limit = transaction(Plan((Setting("nofile", "1024:4096", "4096:4096", 1044, 7),), stage.NETNS, BOOT), "kept")
    around = here(values={"nofile@1044": "4096:4096"}, starts={"nofile@1044": 7})
    proposal = undoing(limit, around)
    assert proposal.plan.settings == (Setting("nofile", "4096:4096", "1024:4096", 1044, 7),)
    with pytest.raises(Refused, match="nofile@1044"):
        undoing(limit, here())
