"""The history: what was changed, by whom, what became of it; and the way back, to the preview."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from textual.pilot import Pilot

from sockmon.errors import PlanRejected
from sockmon.model.boot import Drift
from sockmon.model.helper_protocol import GetHistory, ReadSettings, RequestFailed
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import ForeignValue, SysctlFileEdit, Transaction
from sockmon.settings import Settings
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.undo import OUT_OF_BOUNDS, undo_proposal
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning.history import ChangeScreen, HistoryScreen
from sockmon.ui.tuning.preview import PreviewScreen
from tests.ui import fake_app
from tests.ui.fake_helper import BOB, BOOT, RANGE, SOMAXCONN, FakeHelper, transaction, until
from tests.ui.main_app import text

SETTINGS = (Setting(RANGE, "32768 60999", "1024 65535"), Setting(SOMAXCONN, "4096", "65535"))
PLAN = Plan(SETTINGS, fake_app.NETNS, BOOT)
KEPT = transaction(PLAN, "kept", id="20250615T150640-c7daf1e2", persisted=True)
BACK = transaction(PLAN, "reverted", BOB, id="20250615T140000-00000000", messages=("the time was up",))
EVIL = transaction(
    Plan((Setting("net.[/red]x", "[@click=app.quit]1[/]", "2"),), 7, BOOT),
    "stuck",
    msgspec.structs.replace(BOB, user="[/", login="", terminal="[$primary]"),
    id="20250615T130000-00000000",
    messages=("[/red] could not be put back",),
)


@asynccontextmanager
async def play(
    *history: Transaction, size: tuple[int, int] = (160, 50), helper: FakeHelper | None = None, no_helper: str = ""
) -> AsyncIterator[tuple[SockmonApp, Pilot[None]]]:
    """The history of a host, opened."""
    if helper is not None:
        helper.history = list(history)
    app = SockmonApp(
        fake_app.FakeSource(),
        Settings(theme="sockmon"),
        assessor=fake_app.FakeAssessor(),
        helper=helper,
        no_helper=no_helper,
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
    async with play(KEPT, BACK, EVIL, size=size, helper=FakeHelper()) as (app, pilot):
        await says(app, pilot, "history · 3 changes")
        lines = text(app).splitlines()
        kept = next(line for line in lines if "● kept" in line)
        for word in ("alice", f"{RANGE} 32768 6", *(["1024 65535", "yes"] if size[0] == 160 else [])):
            assert word in kept, word
        assert any("◀ rolled back" in line and "bob" in line for line in lines)
        assert any("✖ stuck" in line and "net.[/red]x [@click=app.quit]1[/] → 2" in line for line in lines)
        assert all(len(line) <= size[0] for line in lines)


async def test_enter_has_all_of_it() -> None:
    drift = (Drift(SOMAXCONN, "65535", "128", KEPT.id),)
    async with play(KEPT, BACK, EVIL, size=(80, 24), helper=FakeHelper()) as (app, pilot):
        await says(app, pilot, "3 changes")
        assert isinstance(app.helper_session.helper, FakeHelper)
        app.helper_session.helper.send_status(drift=drift)
        await until(pilot, lambda: app.helper_session.hold.drift == drift)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChangeScreen))
        await says(
            app, pilot, KEPT.id, "alice on pts/3 as root", "90-sockmon.conf", f"net:[{fake_app.NETNS}]", BOOT
        )
        assert f"{SOMAXCONN} was kept at 65535 and is 128 now" in text(app)
        # The first one hides the line about the drift.
        await pilot.press("escape", "escape", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, ChangeScreen))
        await says(app, pilot, "[/red] could not be put back", "[/ on [$primary]")


async def test_what_is_held_stands_at_the_top() -> None:
    helper = FakeHelper()
    helper.held = transaction(PLAN)
    async with play(KEPT, helper=helper) as (app, pilot):
        helper.send_status()
        await says(app, pilot, "◷ pending", "2 changes", "● kept")


async def test_undo_goes_to_the_preview_of_the_old_values() -> None:
    helper = FakeHelper()
    helper.values |= {RANGE: "1024 65535", SOMAXCONN: "65535"}
    async with play(KEPT, helper=helper) as (app, pilot):
        await says(app, pilot, "● kept")
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        assert isinstance(app.screen, PreviewScreen)
        plan = app.screen.proposal.plan
        assert [(each.key, each.old, each.new) for each in plan.settings] == [
            (SOMAXCONN, "65535", "4096"),
            (RANGE, "1024 65535", "32768 60999"),
        ]
        assert (plan.undoes, plan.netns, plan.boot_id) == (KEPT.id, fake_app.NETNS, BOOT)
        looks = [each for each in helper.asked if isinstance(each, ReadSettings)]
        assert {RANGE, SOMAXCONN} <= set(looks[-1].keys)


async def test_undo_from_the_whole_of_it() -> None:
    helper = FakeHelper()
    helper.values |= {RANGE: "1024 65535", SOMAXCONN: "65535"}
    async with play(KEPT, helper=helper) as (app, pilot):
        await says(app, pilot, "● kept")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChangeScreen))
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))


async def test_only_what_was_kept_can_be_undone() -> None:
    helper = FakeHelper()
    async with play(BACK, helper=helper) as (app, pilot):
        await says(app, pilot, "◀ rolled back")
        await pilot.press("u")
        await until(pilot, lambda: bool(app._notifications))
        (told,) = (notification.message for notification in app._notifications)
        assert told == "only a kept change can be undone; this one is: rolled back"
        assert not [each for each in helper.asked if isinstance(each, ReadSettings)]


@pytest.mark.fault("T14", "T16")
async def test_what_somebody_changed_since_is_not_undone() -> None:
    async with play(KEPT, helper=FakeHelper()) as (app, pilot):
        await says(app, pilot, "● kept")
        await pilot.press("u")
        await until(pilot, lambda: bool(app._notifications))
        told = [notification.message for notification in app._notifications]
        assert any("it has been changed since" in message for message in told)
        assert isinstance(app.screen, HistoryScreen)


async def test_without_a_helper_it_says_why_there_is_nothing_to_read() -> None:
    async with play(no_helper="this is a recording") as (app, pilot):
        await says(app, pilot, "the history cannot be read: this is a recording")


async def test_what_may_not_be_read_says_why() -> None:
    helper = FakeHelper(
        script=lambda ask: [RequestFailed("it is root's", "use sudo")] if isinstance(ask, GetHistory) else None
    )
    async with play(helper=helper) as (app, pilot):
        await says(app, pilot, "it is root's; use sudo")


async def test_nothing_yet_is_said() -> None:
    async with play(helper=FakeHelper()) as (app, pilot):
        await says(app, pilot, "no changes yet")


# Without a screen


def here(**changes: object) -> PlanContext:
    values = {RANGE: "1024 65535", SOMAXCONN: "65535"}
    fields = {"values": values, "netns_inode": fake_app.NETNS, "boot_id": BOOT, **changes}
    return PlanContext(**fields)  # type: ignore[arg-type]


def test_undoing_has_a_preview_for_each_setting_in_the_order_of_writing() -> None:
    proposal = undo_proposal(KEPT, here())
    assert [each.setting for each in proposal.previews] == list(proposal.plan.settings)
    assert any("28,232" in each.effect for each in proposal.previews)
    assert any("4096" in each for each in proposal.commands)


@pytest.mark.fault("T19")
def test_undoing_elsewhere_is_refused() -> None:
    with pytest.raises(PlanRejected, match="another one"):
        undo_proposal(KEPT, here(netns_inode=7))


def test_undoing_what_is_gone_says_why() -> None:
    found = undo_proposal(KEPT, here(values={RANGE: "1024 65535"}, refused={SOMAXCONN: "no such file"}))
    assert [setting.key for setting in found.plan.settings] == [RANGE]
    assert any("no such file" in each for each in found.left)
    with pytest.raises(PlanRejected, match="no such file"):
        undo_proposal(KEPT, here(values={}, refused={SOMAXCONN: "no such file", RANGE: "no such file"}))


def test_what_was_there_before_comes_back_although_it_would_not_be_planned() -> None:
    odd = transaction(Plan((Setting(SOMAXCONN, "0", "65535"),), fake_app.NETNS, BOOT), "kept")
    proposal = undo_proposal(odd, here())
    assert [(each.old, each.new) for each in proposal.plan.settings] == [("65535", "0")]
    assert proposal.previews[0].risk == OUT_OF_BOUNDS
    assert any(f"{SOMAXCONN}=0" in each for each in proposal.commands)


def test_the_limit_of_a_process_comes_back_by_its_pid_and_start() -> None:
    limit = transaction(
        Plan((Setting("nofile", "1024:4096", "4096:4096", 1044, 7),), fake_app.NETNS, BOOT), "kept"
    )
    around = here(values={"nofile@1044": "4096:4096"}, start_times={"nofile@1044": 7})
    proposal = undo_proposal(limit, around)
    assert proposal.plan.settings == (Setting("nofile", "4096:4096", "1024:4096", 1044, 7),)
    with pytest.raises(PlanRejected, match="nofile@1044"):
        undo_proposal(limit, here())


async def test_what_was_forgotten_or_not_kept_is_said_and_a_forgotten_line_is_not_undone() -> None:
    entry = SysctlFileEdit(SOMAXCONN, f"{SOMAXCONN} = 65535\n", "")
    gone = transaction(
        Plan((), fake_app.NETNS, BOOT, forgets=(SOMAXCONN,)),
        "kept",
        id="20250616T150640-c7daf1e2",
        entries=(entry,),
    )
    lost = transaction(PLAN, "kept", id="20250616T140640-c7daf1e2", not_kept=(ForeignValue(SOMAXCONN, "4096"),))
    async with play(gone, lost, helper=FakeHelper()) as (app, pilot):
        await says(app, pilot, "● forgotten", f"the line of {SOMAXCONN}", "▲ kept in part")
        await pilot.press("u")
        await until(pilot, lambda: any("set no value" in each.message for each in app._notifications))
