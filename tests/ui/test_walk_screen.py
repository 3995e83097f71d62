"""A walk on the screen: evidence, the plan of an act, what became of the change, and the summary."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from sockmon.model.helper_protocol import Apply, ChangeResult
from sockmon.ui.app import SockmonApp
from sockmon.ui.guiding.prompt import PromptScreen
from sockmon.ui.guiding.walk_screen import MIN_READ_SECONDS, WalkScreen
from sockmon.ui.tuning.panel import TuningPanel
from sockmon.ui.tuning.preview import PreviewScreen
from sockmon.ui.widgets.labelled_list import LabelledList
from sockmon.ui.widgets.table import Table
from tests.ui.fake_app import FakeSource
from tests.ui.fake_helper import (
    FakeHelper,
    running_app,
    screen_text,
    transaction,
    type_text,
    until,
    without_frames,
)
from tests.ui.held_app import Clock
from tests.ui.test_guides import go_to, open_walk, step, walking

REUSE = "net.ipv4.tcp_tw_reuse"
SIZES = [(160, 50), (120, 40), (80, 24)]


async def apply(app: SockmonApp, pilot: Pilot[None], helper: FakeHelper) -> None:
    """Make the change of the act, through panel, preview and typed word."""
    await go_to(app, pilot, "reuse")
    await until(pilot, lambda: app.plan_context() is not None)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, TuningPanel) and "1 change" in screen_text(app))
    await pilot.press("v")
    await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
    await pilot.pause(0.2)
    await type_text(app, pilot, "apply")
    await until(pilot, lambda: isinstance(app.screen, WalkScreen))


@pytest.mark.parametrize("size", SIZES)
async def test_the_steps_are_beside_the_evidence_if_there_is_room(size: tuple[int, int]) -> None:
    async with walking(size) as (app, pilot):
        await go_to(app, pilot, "group")
        shown = without_frames(screen_text(app))
        assert "Step 2 · Ports to one destination" in shown
        assert "All local ports from one address to one destination are in use." in shown
        assert "● Supported" in shown
        assert ("Ports of bound sockets" in shown) is (size[0] >= 120)
        assert app.screen.query_one("#choices", Table).region.bottom < size[1]


async def test_the_plan_of_an_act_is_filled_in_and_the_hold_outlasts_the_verification() -> None:
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        await open_walk(app, pilot)
        await apply(app, pilot, helper)
        (request,) = helper.asked_for(Apply)
        assert isinstance(request, Apply)
        assert [(each.name, each.new) for each in request.plan.settings] == [(REUSE, "1")]
        assert request.hold >= 75 + 8
        assert step(app) == "freed"
        assert app.guide_session.current
        assert [each.state for each in app.guide_session.current.progress.changes] == ["holding"]
        assert "PENDING" in screen_text(app)


@pytest.mark.parametrize("state", ["kept", "reverted"])
async def test_what_becomes_of_the_change_later_is_noted(state: Any) -> None:
    helper = FakeHelper()
    async with running_app(helper, (80, 24)) as (app, pilot):
        await open_walk(app, pilot)
        await apply(app, pilot, helper)
        await pilot.press("escape", "escape")
        assert helper.held is not None
        ended = transaction(helper.held.plan, state, helper.held.actor)
        helper.held = None
        helper.send(ChangeResult(ended))
        walk = app.guide_session.current
        assert walk is not None
        await until(pilot, lambda: walk.progress.changes[0].state == state)


async def test_a_verification_is_not_met_after_its_time() -> None:
    helper, source = FakeHelper(), FakeSource()
    async with running_app(helper, (80, 24), source) as (app, pilot):
        await open_walk(app, pilot)
        await apply(app, pilot, helper)
        source.step()
        await until(pilot, lambda: "◷ Waiting" in screen_text(app))
        walk = app.guide_session.current
        assert walk is not None
        source.tick += 80
        source.step()
        await until(pilot, lambda: walk.check is not None and walk.check.state == "not-met")
        await until(pilot, lambda: "✖ Not met, after" in screen_text(app))
        await go_to(app, pilot, "did-not-help")
        assert "It did not help" in screen_text(app)


@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "no privilege"])
async def test_without_privilege_it_ends_with_the_command(read_only: bool) -> None:
    helper = FakeHelper(cannot="changing the system takes root")
    async with running_app(helper, (80, 24), read_only=read_only) as (app, pilot):
        await open_walk(app, pilot)
        await go_to(app, pilot, "reuse")
        await until(pilot, lambda: "Read-only" in screen_text(app))
        await go_to(app, pilot, "run-commands")
        assert f"tune apply {REUSE}=1" in without_frames(screen_text(app))
        assert not helper.asked_for(Apply)


async def test_a_refused_value_is_said_and_the_walk_goes_on_without_it() -> None:
    helper = FakeHelper()
    helper.values[REUSE] = "1"
    async with running_app(helper, (80, 24)) as (app, pilot):
        await open_walk(app, pilot)
        assert isinstance(app.screen, WalkScreen)
        clock = app.screen._clock = Clock()
        await go_to(app, pilot, "reuse")
        await until(pilot, lambda: "already set" in screen_text(app))
        await pilot.press("enter")
        assert step(app) == "reuse", "no one has read the new suggestion yet"
        clock.now += MIN_READ_SECONDS
        await pilot.press("enter")
        assert step(app) == "run-commands"


async def test_the_summary_is_copied_and_written_to_a_new_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    async with walking() as (app, pilot):
        sent: list[str] = []
        assert app._driver
        monkeypatch.setattr(app._driver, "write", sent.append)
        await pilot.press("c")
        (copied,) = [text for text in sent if text.startswith("\x1b]52;c;")]
        markdown = base64.b64decode(copied[len("\x1b]52;c;") : -1]).decode()
        assert markdown.startswith("# Cannot assign requested address")
        assert app.clipboard == markdown
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, WalkScreen))
        (file,) = tmp_path.glob("sockmon-*.md")
        assert file.read_text().startswith("# Cannot assign requested address")
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_other_examples_are_shown_if_there_is_room_and_by_a_key(size: tuple[int, int]) -> None:
    async with walking(size) as (app, pilot):
        await go_to(app, pilot, "reuse")
        for shown in (size[1] > 36, size[1] <= 36):
            await until(pilot, lambda: ("http-reuse always" in screen_text(app)) is shown)  # noqa: B023
            await pilot.press("e")


async def test_a_sample_that_changes_nothing_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource()
    async with running_app(FakeHelper(), source=source) as (app, pilot):
        await open_walk(app, pilot)
        await go_to(app, pilot, "kind")
        await pilot.pause(0.3)
        drawn: list[str] = []
        facts = app.screen.query_one("#facts", LabelledList)
        monkeypatch.setattr(facts, "refresh", lambda *regions, **_: drawn.append(str(regions)))
        seen = app.newest
        source.step()
        await until(pilot, lambda: app.newest is not seen)
        await pilot.pause()
        assert not drawn
