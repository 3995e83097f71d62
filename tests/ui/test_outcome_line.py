"""The line of the hold bar with what has become of the alarm that was the reason for the change."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.model.helper_protocol import Apply, NoteOutcomes, ResolveHold
from sockmon.model.outcome import Outcome, Reason
from sockmon.model.transaction import Transaction
from sockmon.tuning.confirmation import WORD
from sockmon.ui.messages import Sampled
from tests.ui import fake_app
from tests.ui.fake_helper import FakeHelper, running_app, transaction, type_text, until
from tests.ui.held_app import PLAN, Seen, play
from tests.ui.main_app import text
from tests.ui.test_preview import proposal

FULL = fake_app.readings("busy", 60)[0]
REASON = Reason(FULL.ceiling, FULL.subject, FULL.severity, FULL.used, FULL.limit)


def held(seen: Seen, seconds: float, **changes: Any) -> Transaction:
    """A change that was made some seconds before the newest sample."""
    assert seen.app.newest is not None
    plan = replace(PLAN, reasons=(REASON,), boot_id=seen.app.newest.snapshot.host.boot_id)
    return transaction(plan, begun=seen.app.newest.snapshot.wall - seconds, **changes)


async def hold(seen: Seen, seconds: float) -> None:
    """Such a change is pending, and a sample comes."""
    seen.helper.hold(held(seen, seconds), 60.0 - seconds)
    await seen.says("PENDING")
    assert seen.app.newest is not None
    seen.app.post_message(Sampled(seen.app.newest))


def line(seen: Seen) -> str:
    """The line below the countdown."""
    lines = text(seen.app).splitlines()
    return lines[next(index for index, each in enumerate(lines) if "s left" in each) + 1]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_an_alarm_that_does_not_move_is_said_before_the_hold_ends(size: tuple[int, int]) -> None:
    async with play(size) as seen:
        await hold(seen, 30)
        await seen.says("✖ ephemeral ports", "unchanged after", "roll back")
        assert "PENDING" in text(seen.app)
        shown = line(seen)
        assert shown.lstrip().startswith("✖")
        assert shown.rstrip().endswith("roll back")
        assert (FULL.subject in shown) == (size[0] > 80)
        await until(seen.pilot, lambda: bool(seen.helper.asked_for(NoteOutcomes)))
        noted = seen.helper.asked_for(NoteOutcomes)[0]
        assert isinstance(noted, NoteOutcomes)
        assert [(each.kind, each.subject) for each in noted.outcomes] == [("unchanged", FULL.subject)]


async def test_it_is_noted_before_the_decision() -> None:
    async with play() as seen:
        await hold(seen, 2)
        await seen.says("◷ ephemeral ports", "still HIT")
        assert not seen.helper.asked_for(NoteOutcomes)
        seen.clock.now += 1
        await seen.key("K", 2_000.0)
        await until(seen.pilot, lambda: bool(seen.decided))
        kinds = [type(each) for each in seen.helper.asked if isinstance(each, NoteOutcomes | ResolveHold)]
        assert kinds == [NoteOutcomes, ResolveHold]


async def test_what_was_noted_is_shown_with_the_result_and_in_the_history() -> None:
    async with play() as seen:
        outcome = Outcome("left", FULL.ceiling, FULL.subject, "hit", 8.0, "ok")
        kept = held(seen, 30, state="kept", outcomes=(outcome,))
        seen.helper.history = [kept]
        seen.app.history()
        await seen.says("Outcome", "left HIT after 8 s")


async def test_without_a_reason_there_is_no_such_line() -> None:
    async with play() as seen:
        await seen.held()
        assert "s left" in text(seen.app)
        assert FULL.subject not in line(seen)
        assert seen.app.helper_session.hold.outcomes == ()


async def test_the_alarm_that_the_panel_was_opened_on_is_the_reason() -> None:
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        app.preview(proposal(), FULL)
        await pilot.pause()
        await type_text(app, pilot, WORD)
        await until(pilot, lambda: bool(helper.asked_for(Apply)))
        sent = helper.asked_for(Apply)[0]
        assert isinstance(sent, Apply)
        assert [(each.ceiling, each.subject) for each in sent.plan.reasons] == [(FULL.ceiling, FULL.subject)]
