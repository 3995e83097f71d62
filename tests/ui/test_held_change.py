"""The outcome of a pending change, and the change without a screen."""

from __future__ import annotations

import pytest

from sockmon.model.helper_protocol import ChangeResult, GetHistory, HelperStatus
from sockmon.model.transaction import State
from sockmon.ui.tuning.held_change import (
    MIN_SHOWN_SECONDS,
    SHOWN_SECONDS,
    HeldChange,
)
from sockmon.ui.tuning.hold_bar import HoldBar
from sockmon.ui.tuning.key_press import MIN_KEY_GAP, MIN_REPEAT_GAP, KeyPressFilter
from tests.ui.fake_helper import RANGE, transaction, until
from tests.ui.held_app import ID, PLAN, STUCK, Clock, play
from tests.ui.main_app import text

# The end


@pytest.mark.fault("T17")
@pytest.mark.parametrize(
    ("state", "words", "says", "bad"),
    [
        ("kept", (), "✔ KEPT", False),
        ("reverted", ("the time was up",), "◀ ROLLED BACK", False),
        ("conflict", (f"{RANGE} is 1 2 and was left",), "▲ CONFLICT", True),
        ("stuck", (STUCK,), "✖ STUCK", True),
        ("rebooted", (), "by a reboot", False),
    ],
)
async def test_T17_the_end_is_told_until_it_was_read(
    state: State, words: tuple[str, ...], says: str, bad: bool
) -> None:
    async with play() as seen:
        await seen.held()
        seen.helper.send(ChangeResult(transaction(PLAN, state, messages=words)), HelperStatus(None))
        await seen.says(says, *words)
        await seen.pilot.press("down")
        assert says in text(seen.app)
        seen.clock.now += MIN_SHOWN_SECONDS
        await seen.pilot.press("up")
        assert (says in text(seen.app)) == bad
        await seen.pilot.press("escape")
        await until(seen.pilot, lambda: says not in text(seen.app))


@pytest.mark.fault("T11")
async def test_kept_but_not_persisted_is_no_good_end() -> None:
    async with play(deaf=True) as seen:
        await seen.held()
        await seen.key("P", 5_000.0)
        await seen.says("Press P again")
        await seen.key("P", 5_000.0 + MIN_REPEAT_GAP)
        await until(seen.pilot, lambda: bool(seen.decided))
        why = "it holds until a restart, and was not written to /etc/sysctl.d: No space left on device"
        seen.helper.send(ChangeResult(transaction(PLAN, "kept", messages=(why,))), HelperStatus(None))
        await seen.says("▲ KEPT, NOT PERSISTED", why)
        assert seen.app.screen.query_one(HoldBar).has_class("-bad")


@pytest.mark.fault("T21")
@pytest.mark.parametrize(
    ("state", "says", "never"), [("kept", "✔ KEPT", "ROLLED"), ("reverted", "ROLLED", "✔ KEPT")]
)
@pytest.mark.parametrize("first", ["told", "standing"])
async def test_T21_a_key_at_the_deadline_has_one_outcome_on_the_screen(
    state: State, says: str, never: str, first: str
) -> None:
    """Whatever comes first, the answer to the key or that nothing is pending any more."""
    async with play(deaf=True) as seen:
        await seen.held(0.4)
        await seen.key("K", 5_000.0)
        await until(seen.pilot, lambda: bool(seen.decided))
        seen.clock.now += 1
        told, gone = ChangeResult(transaction(PLAN, state)), HelperStatus(None)
        seen.helper.send(*((told, gone) if first == "told" else (gone, told)))
        await seen.says(says)
        await seen.settle()
        assert never not in text(seen.app)
        assert "s left" not in text(seen.app)


async def test_a_good_end_goes_by_itself() -> None:
    async with play() as seen:
        await seen.held()
        seen.helper.send(ChangeResult(transaction(PLAN, "kept")))
        await seen.says("KEPT")
        seen.clock.now += SHOWN_SECONDS
        await until(seen.pilot, lambda: "KEPT" not in text(seen.app))


async def test_an_end_without_a_word_is_looked_up_in_the_history() -> None:
    async with play() as seen:
        await seen.held()
        seen.helper.history = [transaction(PLAN, "reverted", messages=("the time was up",))]
        seen.helper.hold(None)
        await seen.says("ROLLED BACK", "the time was up")
        assert GetHistory() in seen.helper.asked


async def test_an_end_that_nobody_knows_says_so() -> None:
    async with play() as seen:
        await seen.held()
        seen.helper.hold(None)
        await seen.says("ENDED", ID, "sockmon tune history")


async def test_a_word_from_before_the_end_does_not_bring_it_back() -> None:
    async with play() as seen:
        held = await seen.held()
        seen.helper.send(ChangeResult(transaction(PLAN, "kept")), HelperStatus(held, 40.0), HelperStatus(None))
        await seen.says("KEPT")
        await seen.settle()
        assert "s left" not in text(seen.app)


async def test_the_next_change_takes_the_place_of_the_last_ones_end() -> None:
    async with play() as seen:
        await seen.held()
        seen.helper.send(ChangeResult(transaction(PLAN, "stuck", messages=(STUCK,))), HelperStatus(None))
        await seen.says("STUCK")
        seen.helper.hold(transaction(PLAN, id="20250615-150700-cd34"))
        await seen.says("PENDING")
        assert "STUCK" not in text(seen.app)


# Without a screen


def test_a_person_presses_one_key_at_a_time() -> None:
    def alone(*keys: tuple[str, float]) -> list[bool]:
        presses = KeyPressFilter()
        found = []
        for key, at in keys:
            presses.add(key, at)
            found.append(presses.is_deliberate)
        return found

    assert alone(("K", 0.0)) == [True]
    assert alone(("K", 0.0), ("K", 0.03), ("K", 0.06), ("K", 0.06 + MIN_REPEAT_GAP)) == [True, False, False, True]
    assert alone(("x", 0.0), ("K", MIN_KEY_GAP / 2)) == [True, False]
    assert alone(("x", 0.0), ("K", MIN_KEY_GAP)) == [True, True]


def test_the_time_left_is_the_helpers_and_goes_on_without_it() -> None:
    clock = Clock()
    hold = HeldChange(clock)
    hold.on_status(HelperStatus(transaction(PLAN, hold=60.0), 30.0))
    assert (hold.seconds_left, hold.share_left, hold.too_early) == (30, 0.5, True)
    clock.now += 12.5
    assert (hold.seconds_left, hold.too_early, hold.urgent) == (18, False, False)
    # The machine slept, or another login asked for more time.
    hold.on_status(HelperStatus(transaction(PLAN, hold=60.0), 5.0))
    assert (hold.seconds_left, hold.urgent) == (5, True)
    hold.on_status(HelperStatus(transaction(PLAN, hold=60.0), 600.0))
    assert (hold.seconds_left, hold.share_left) == (600, 1.0)


def test_an_end_that_was_forgotten_is_found_by_its_id() -> None:
    hold = HeldChange()
    hold.on_status(HelperStatus(transaction(PLAN), 1.0))
    assert hold.on_status(HelperStatus(None))
    other = transaction(PLAN, "kept", id="20250615-000000-0000")
    hold.on_history((other, transaction(PLAN, "conflict")))
    assert hold.ended is not None
    assert (hold.ended.state, hold.failed_end) == ("conflict", True)
    assert not hold.on_status(HelperStatus(None))


def test_what_was_refused_was_never_held() -> None:
    hold = HeldChange()
    hold.on_result(transaction(PLAN, "refused", messages=("another change is being held",)))
    assert not hold.shown
