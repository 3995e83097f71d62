"""The hold bar: what is pending, for how long, and other changes that it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from textual.geometry import Region
from textual.widget import Widget

from sockmon import own_command
from sockmon.model.boot import Drift
from sockmon.model.detail import ProcessQuery
from sockmon.model.helper_protocol import ResolveHold
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import ForeignValue, Transaction
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning.held_change import (
    MIN_READ_SECONDS,
    MIN_SHOWN_SECONDS,
    URGENT_SECONDS,
)
from sockmon.ui.tuning.hold_bar import HoldBar
from sockmon.ui.tuning.hold_text import short_name
from sockmon.ui.widgets.table import Table
from tests.ui import fake_app
from tests.ui.fake_helper import BOB, BOOT, SOMAXCONN, transaction, until
from tests.ui.held_app import ID, PLAN, play
from tests.ui.main_app import text
from tests.ui.test_preview import proposal


async def test_nothing_is_said_where_nothing_is_held() -> None:
    async with play() as seen:
        assert not seen.app.screen.query(HoldBar)


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_what_is_held_is_on_every_screen(size: tuple[int, int]) -> None:
    async with play(size) as seen:
        await seen.held()
        lines = text(seen.app).splitlines()
        says, left = (index for index, line in enumerate(lines) if "PENDING" in line or "s left" in line)
        assert (says, left) == (size[1] - 3, size[1] - 2)
        for word in ("2 changes", "K", "keep", "P", "persist", "U", "roll back"):
            assert word in lines[says], word
        assert "ip_local_port_range 32768" in lines[left]
        for way in (("b", "enter"), ("question_mark",)):
            await seen.pilot.press(*way)
            await until(seen.pilot, lambda: not isinstance(seen.app.screen, MainScreen))
            await seen.says("PENDING", "s left", "keep")
            await seen.pilot.press("escape")
            await until(seen.pilot, lambda: isinstance(seen.app.screen, MainScreen))
        seen.app.history()
        await seen.says("PENDING", "◷ pending")


def opened(screen: str, app: SockmonApp) -> None:
    """Bring a screen on top."""
    reading = fake_app.readings("busy", 60)[0]
    ways: dict[str, Callable[[], object]] = {
        "main": lambda: None,
        "help": app.action_help,
        "palette": app.action_command_palette,
        "ceiling": lambda: app.open(reading),
        "process": lambda: app.open(ProcessQuery(1044, 7)),
        "tune": lambda: app.tune(reading),
        "history": app.history,
        "prove": lambda: app.prove(SOMAXCONN),
        "preview": lambda: app.preview(proposal()),
    }
    ways[screen]()


EVERY = ("main", "help", "palette", "ceiling", "process", "tune", "edit", "filter", "history", "prove", "preview")


@pytest.mark.parametrize(
    ("screen", "size"),
    [
        *((each, (80, 24)) for each in EVERY),
        *((each, (50, 12)) for each in ("main", "tune", "edit")),
        ("edit", (160, 50)),
    ],
)
async def test_the_keys_of_a_pending_change_are_whole_on_every_screen(
    screen: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sockmon.ui.tuning.experiment.ExperimentScreen._measure", lambda self: None)
    async with play(size) as seen:
        await seen.held()
        opened({"edit": "tune", "filter": "tune"}.get(screen, screen), seen.app)
        await seen.pilot.pause()
        if screen in ("edit", "filter"):
            await until(seen.pilot, lambda: bool(seen.app.screen.query_one("#settings", Table).rows))
            await seen.pilot.press("enter" if screen == "edit" else "slash")
        await seen.says("PENDING", "[K]", "[P]", "[U]", "41 s left")
        await seen.settle()
        lines = text(seen.app).splitlines()
        (line,) = (line for line in lines if " PENDING" in line and "PENDING:" not in line)
        assert all(word in line for word in ("[K]", "[P]", "[U]"))
        if size[0] > 50:
            assert all(word in line for word in ("2 changes", "[K] keep", "[P] persist"))
            assert line.rstrip().endswith(("roll back", "roll back now"))
        assert all(cell_len(line) <= size[0] for line in lines)
        await seen.key("P", 5_000.0)
        if screen in ("palette", "edit", "filter"):
            return
        await seen.says("▲ Press P again to write", "/etc/sysctl.d/90-sockmon.conf")
        await seen.says("[K]", "[P]", "[U]", "41 s left")


async def test_it_counts_down_by_itself_and_redraws_one_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async with play() as seen:
        await seen.held(41.0)
        seen.clock.now += 1 - MIN_READ_SECONDS
        await seen.says(" 40 s left")
        drawn: list[str | None] = []
        refresh = Widget.refresh

        def counted(self: Widget, *regions: Region, **options: bool) -> Widget:
            drawn.append(self.id)
            return refresh(self, *regions, **options)

        monkeypatch.setattr(Widget, "refresh", counted)
        seen.clock.now += 1
        await seen.says(" 39 s left")
        await asyncio.sleep(0.6)
        assert drawn == ["hold-left"]


async def test_the_last_seconds_are_urgent() -> None:
    async with play() as seen:
        await seen.held(URGENT_SECONDS + 0.9)
        bar = seen.app.screen.query_one(HoldBar)
        assert bar.has_class("-held")
        seen.clock.now += 1
        await until(seen.pilot, lambda: bar.has_class("-urgent"))
        seen.clock.now += 60
        await seen.says("rolling back")


@pytest.mark.fault("T12")
async def test_another_operators_change_says_whose_it_is_and_can_be_decided() -> None:
    async with play() as seen:
        await seen.held(who=BOB)
        assert "by bob on pts/7" in text(seen.app)
        await seen.pilot.press("U")
        await until(seen.pilot, lambda: seen.decided == [ResolveHold("revert", ID)])


@pytest.mark.fault("T14")
async def test_what_somebody_else_changed_is_said_at_once_and_is_only_text() -> None:
    async with play() as seen:
        await seen.held()
        word = "[@click=app.quit]net.x[/] was changed to 5 by somebody else [/red]"
        seen.helper.hold(transaction(PLAN, messages=(word,)), 30.0)
        await seen.says(word, "read-back differs")
        await seen.pilot.click("#hold-more", offset=(5, 0))
        await seen.pilot.pause()
        assert seen.app.is_running
        assert seen.app.return_code is None


@pytest.mark.fault("T4")
async def test_a_helper_that_dies_leaves_the_guard_and_says_so() -> None:
    async with play() as seen:
        await seen.held()
        seen.helper.close()
        await seen.says("decide in a shell", "watchdog were killed too")
        assert "exited" in seen.app.cannot_tune
        seen.clock.now += 10
        await seen.says(" 31 s left")
        await seen.pilot.press("K")
        await seen.settle()
        assert seen.decided == []
        seen.clock.now += 31 + MIN_SHOWN_SECONDS
        await seen.says("ENDED", ID, "sockmon tune history")


@pytest.mark.fault("T15")
async def test_what_was_left_behind_or_drifted_is_a_line_until_it_is_hidden() -> None:
    async with play() as seen:
        drift = (Drift(SOMAXCONN, "65535", "4096", ID),)
        left = transaction(PLAN, "applying", messages=("it changed the network namespace net:[7]",))
        seen.helper.send_status(drift=drift, pending=(left,))
        await seen.says("Interrupted: 2 changes", "net:[7]", "and 1 more")
        seen.helper.send_status(drift=drift)
        await seen.says(f"Drift: {SOMAXCONN} was kept at 65535 and is 4096 now")
        await seen.pilot.press("escape")
        await until(seen.pilot, lambda: "Drift" not in text(seen.app))
        seen.helper.send_status(drift=drift)
        await seen.settle()
        assert "Drift" not in text(seen.app)


async def test_the_command_in_the_hold_bar_works_under_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_command, "with_sudo", lambda: "sudo /opt/sockmon/bin/sockmon")
    async with play((160, 50)) as seen:
        await seen.held()
        await seen.says("or: sudo /opt/sockmon/bin/sockmon tune keep")


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (
            transaction(PLAN, "kept", not_kept=(ForeignValue(SOMAXCONN, "4096"),)),
            ("▲ KEPT IN PART", f"{SOMAXCONN} is 4096 now"),
        ),
        (
            transaction(PLAN, "kept", not_kept=tuple(ForeignValue(each.name, None) for each in PLAN.settings)),
            ("▲ NOT KEPT", f"{SOMAXCONN} does not exist any more"),
        ),
        (transaction(PLAN, "kept", set_by_files=(SOMAXCONN,)), ("✔ KEPT", "until sysctl.d is applied again")),
    ],
)
async def test_what_is_gone_is_not_called_kept(ended: Transaction, words: tuple[str, ...]) -> None:
    async with play() as seen:
        await seen.held()
        seen.app.helper_session.hold.on_result(ended)
        await seen.says(*words)
        assert "2 changes until reboot" not in text(seen.app)
        bar = seen.app.screen.query_one(HoldBar)
        assert bar.has_class("-bad" if ended.not_kept else "-good")


LIMIT = Setting("pids.max", "40", "128", 0, 7, "/system.slice/web.service")


async def test_the_limit_of_a_cgroup_is_kept_until_the_cgroup_ends() -> None:
    async with play((120, 40)) as seen:
        plan = Plan((LIMIT,), fake_app.NETNS, BOOT)
        seen.helper.hold(transaction(plan), 41.0)
        await seen.says("PENDING", "[K] keep ", "/web.service 40 → 128")
        assert "until reboot" not in text(seen.app)
        seen.app.helper_session.hold.on_result(transaction(plan, "kept"))
        await seen.says("✔ KEPT", "1 change until the cgroup ends")


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("net.core.somaxconn", "somaxconn"),
        ("nofile@1044", "nofile@1044"),
        ("pids.max@/web.slice", "pids.max@/web.slice"),
        ("pids.max@/system.slice/nginx.service", "pids.max@…/nginx.service"),
    ],
)
def test_a_short_name_is_still_recognized(name: str, short: str) -> None:
    assert short_name(name) == short
