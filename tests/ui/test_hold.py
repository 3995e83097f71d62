"""The hold bar: what is said while a change is held, which keys decide about it, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.events import Key, Paste
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from sockmon.model.change import Drift, Plan, Setting, State, Transaction
from sockmon.model.desk import Decide, Failed, Recall, Standing, Told
from sockmon.ui.app import SockmonApp
from sockmon.ui.hold import EARLY, LAST, READ, STAYS, Hold
from sockmon.ui.presses import BURST, REPEAT, Presses
from sockmon.ui.screens.help import HelpScreen
from sockmon.ui.screens.history import HistoryScreen
from sockmon.ui.screens.main import MainScreen
from sockmon.ui.screens.tune import TuneScreen
from sockmon.ui.settings import Settings
from sockmon.ui.widgets.hold import HoldBar
from tests.ui import stage
from tests.ui.desk import BOB, BOOT, RANGE, SOMAXCONN, FakeDesk, transaction
from tests.ui.test_main import text, until

PLAN = Plan((Setting(RANGE, "32768 60999", "1024 65535"), Setting(SOMAXCONN, "4096", "65535")), stage.NETNS, BOOT)
ID = transaction(PLAN).id
STUCK = f"{SOMAXCONN} could not be put back: Invalid argument; sysctl -w {SOMAXCONN}=4096"


class Clock:
    """Time that goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """An app with a desk, what it shows, and a clock for what is held."""

    def __init__(self, app: SockmonApp, pilot: Pilot[None], desk: FakeDesk) -> None:
        self.app, self.pilot, self.desk = app, pilot, desk
        self.clock = app.tuning.hold.clock = Clock()

    async def held(self, left: float = 41.0, **changes: object) -> Transaction:
        """Something is held, long enough to have been read."""
        held = transaction(PLAN, **changes)  # type: ignore[arg-type]
        self.desk.hold(held, left)
        await self.says("HOLD")
        self.clock.now += EARLY
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
        """Whatever a key brings about has been brought about."""
        await asyncio.sleep(BURST * 3)
        await self.pilot.pause()

    @property
    def decided(self) -> list[Decide]:
        return [each for each in self.desk.asked if isinstance(each, Decide)]


@asynccontextmanager
async def play(
    size: tuple[int, int] = (160, 50),
    settings: Settings | None = None,
    read_only: bool = False,
    deaf: bool = False,
) -> AsyncIterator[Seen]:
    """A busy host with a desk; `deaf`: it answers nothing by itself."""
    desk = FakeDesk(script=lambda _: [] if deaf else None)
    app = SockmonApp(
        stage.StageSource(), settings or Settings(theme="sockmon"), read_only, stage.FakeAssessor(), desk=desk
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await until(pilot, lambda: app.standing is not None or read_only)
        yield Seen(app, pilot, desk)


# What is said


async def test_nothing_is_said_where_nothing_is_held() -> None:
    async with play() as seen:
        assert not seen.app.screen.query(HoldBar)


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_what_is_held_is_on_every_screen(size: tuple[int, int]) -> None:
    async with play(size) as seen:
        await seen.held()
        lines = text(seen.app).splitlines()
        says, left = (index for index, line in enumerate(lines) if "HOLD" in line or "s left" in line)
        assert (says, left) == (size[1] - 3, size[1] - 2)
        for word in ("2 changes", "K", "keep", "P", "persist", "U", "revert"):
            assert word in lines[says], word
        assert RANGE in lines[left]
        for way in (("b", "enter"), ("question_mark",)):
            await seen.pilot.press(*way)
            await until(seen.pilot, lambda: not isinstance(seen.app.screen, MainScreen))
            await seen.says("HOLD", "s left", "keep")
            await seen.pilot.press("escape")
            await until(seen.pilot, lambda: isinstance(seen.app.screen, MainScreen))
        seen.app.history()
        await seen.says("HOLD", "held now")


async def test_it_counts_down_by_itself_and_redraws_one_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async with play() as seen:
        await seen.held(41.0)
        seen.clock.now += 1 - EARLY
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
        await seen.held(LAST + 0.9)
        bar = seen.app.screen.query_one(HoldBar)
        assert bar.has_class("-held")
        seen.clock.now += 1
        await until(seen.pilot, lambda: bar.has_class("-urgent"))
        seen.clock.now += 60
        await seen.says("going back")


async def test_another_operators_change_says_whose_it_is_and_can_be_decided() -> None:
    async with play() as seen:
        await seen.held(who=BOB)
        assert "by bob on pts/7" in text(seen.app)
        await seen.pilot.press("U")
        await until(seen.pilot, lambda: seen.decided == [Decide("revert", ID)])


async def test_what_somebody_else_changed_is_said_at_once_and_is_only_text() -> None:
    async with play() as seen:
        await seen.held()
        word = "[@click=app.quit]net.x[/] was changed to 5 by somebody else [/red]"
        seen.desk.hold(transaction(PLAN, words=(word,)), 30.0)
        await seen.says(word, "not as it was read back")
        await seen.pilot.click("#hold-more", offset=(5, 0))
        await seen.pilot.pause()
        assert seen.app.is_running
        assert seen.app.return_code is None


async def test_a_desk_that_dies_leaves_the_guard_and_says_so() -> None:
    async with play() as seen:
        await seen.held()
        seen.desk.close()
        await seen.says("decide in a shell", "unless it was killed too")
        assert "ended" in seen.app.cannot_tune
        seen.clock.now += 10
        await seen.says(" 31 s left")
        await seen.pilot.press("K")
        await seen.settle()
        assert seen.decided == []
        seen.clock.now += 31 + READ
        await seen.says("ENDED", ID, "sockmon tune history")


async def test_what_was_left_behind_or_drifted_is_a_line_until_it_is_hidden() -> None:
    async with play() as seen:
        drift = (Drift(SOMAXCONN, "65535", "4096", ID),)
        left = transaction(PLAN, "applying", words=("it changed the network namespace net:[7]",))
        seen.desk.stand(drift=drift, pending=(left,))
        await seen.says("Left behind: 2 changes", "net:[7]", "and 1 more")
        seen.desk.stand(drift=drift)
        await seen.says(f"Drift: {SOMAXCONN} was kept at 65535 and is 4096 now")
        await seen.pilot.press("escape")
        await until(seen.pilot, lambda: "Drift" not in text(seen.app))
        seen.desk.stand(drift=drift)
        await seen.settle()
        assert "Drift" not in text(seen.app)


# The keys


@pytest.mark.parametrize(
    ("key", "wish", "words"),
    [
        ("K", Decide("keep", ID), "2 changes until the next restart"),
        ("P", Decide("keep", ID, persist=True), "written to /etc/sysctl.d/90-sockmon.conf too"),
        ("U", Decide("revert", ID), "2 changes taken back"),
    ],
)
async def test_a_key_decides(key: str, wish: Decide, words: str) -> None:
    async with play() as seen:
        await seen.held()
        await seen.pilot.press(key)
        await seen.says(words)
        assert seen.decided == [wish]
        assert "s left" not in text(seen.app)


async def test_a_key_decides_on_a_page_over_another_one_too() -> None:
    async with play() as seen:
        await seen.held()
        await seen.pilot.press("question_mark")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HelpScreen))
        await seen.pilot.press("U")
        await until(seen.pilot, lambda: seen.decided == [Decide("revert", ID)])


async def test_the_keys_do_nothing_where_nothing_is_held() -> None:
    async with play() as seen:
        await seen.pilot.press("K", "P", "U")
        await seen.settle()
        assert seen.decided == []


@pytest.mark.parametrize("key", ["K", "P", "U"])
async def test_T20_a_key_that_was_down_before_does_not_decide(key: str) -> None:
    async with play() as seen:
        seen.desk.hold(transaction(PLAN))
        await seen.says("HOLD")
        at = 5_000.0
        await seen.key(key, at)
        seen.clock.now += EARLY
        for repeat in range(20):
            await seen.key(key, at + 0.66 + repeat * 0.033)
        await seen.settle()
        assert seen.decided == []
        await seen.key(key, at + 0.66 + 20 * 0.033 + REPEAT)
        await until(seen.pilot, lambda: len(seen.decided) == 1)


@pytest.mark.parametrize("pasted", ["Keep", "xK", "KPU", "UU"])
async def test_T20_keys_that_come_as_a_paste_do_not_decide(pasted: str) -> None:
    async with play() as seen:
        await seen.held()
        for number, char in enumerate(pasted):
            event = Key(char, char)
            event.time = 5_000.0 + number * 0.002
            seen.app.post_message(event)
        await seen.settle()
        seen.app.post_message(Paste("K"))
        await seen.settle()
        assert seen.decided == []


async def test_T20_a_click_does_not_decide() -> None:
    async with play() as seen:
        await seen.held()
        line = next(line for line in text(seen.app).splitlines() if "HOLDING" in line)
        for word in ("K  keep", "P  keep and persist", "U  revert now", "HOLDING"):
            await seen.pilot.click("#hold-says", offset=(line.index(word), 0))
            await seen.pilot.click("#hold-left", offset=(line.index(word), 0))
        await seen.settle()
        assert seen.decided == []
        assert not {"keep", "keep.persist", "revert"} & {
            active.binding.id for active in seen.app.screen.active_bindings.values() if active.binding.show
        }


async def test_letters_that_are_typed_somewhere_do_not_decide() -> None:
    async with play() as seen:
        await seen.held()
        await seen.pilot.press("slash", "K", "U")
        await seen.settle()
        assert seen.decided == []
        assert seen.app.screen.query_one(Input).value == "KU"
        await seen.says("Esc first, then decide")
        await seen.pilot.press("escape")
        await seen.says("revert now")


async def test_one_wish_at_a_time() -> None:
    async with play(deaf=True) as seen:
        await seen.held()
        await seen.pilot.press("K")
        await seen.says("keeping…")
        await seen.pilot.press("U")
        await seen.settle()
        assert [each.verb for each in seen.decided] == ["keep"]


async def test_what_cannot_be_kept_goes_on_being_held() -> None:
    async with play(deaf=True) as seen:
        await seen.held()
        await seen.pilot.press("K")
        await until(seen.pilot, lambda: bool(seen.decided))
        seen.desk.say(Failed("the journal cannot be written"))
        await seen.says("Not done: the journal cannot be written", "goes back by itself", "HOLDING")
        await seen.key("U", 9e9)
        await until(seen.pilot, lambda: len(seen.decided) == 2)


async def test_other_keys_can_be_chosen() -> None:
    settings = Settings(theme="sockmon", keys={"keep": "f8", "revert": "ctrl+u"})
    async with play(settings=settings) as seen:
        await seen.held()
        assert "F8  keep" in text(seen.app)
        await seen.pilot.press("K", "U")
        await seen.settle()
        assert seen.decided == []
        await seen.pilot.press("f8")
        await until(seen.pilot, lambda: seen.decided == [Decide("keep", ID)])


async def test_read_only_has_no_desk_and_does_not_speak_of_keys_that_write() -> None:
    async with play(size=(160, 90), read_only=True) as seen:
        assert not seen.desk.alive
        assert seen.app.cannot_tune == "it was started read-only"
        await seen.pilot.press("K", "question_mark")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HelpScreen))
        await seen.says("What can be changed")
        assert "While held" not in text(seen.app)
        assert seen.desk.asked == []


async def test_the_palette_leads_to_the_panel_and_the_history_and_decides_nothing() -> None:
    async with play() as seen:
        await seen.held()
        offered = {command.title for command in seen.app.get_system_commands(seen.app.screen)}
        assert {"Tune  t", "History  h"} <= offered
        assert not any(word in title for title in offered for word in ("Keep", "Revert"))
        await seen.pilot.press("colon")
        await until(seen.pilot, lambda: not isinstance(seen.app.screen, MainScreen))
        await seen.pilot.press("K")
        await seen.says("Esc first, then decide")
        assert seen.decided == []


async def test_places_are_opened_once() -> None:
    async with play() as seen:
        await seen.pilot.press("t")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, TuneScreen))
        await seen.pilot.press("h")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HistoryScreen))
        depth = len(seen.app.screen_stack)
        await seen.pilot.press("t")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, TuneScreen))
        await seen.pilot.press("h")
        await until(seen.pilot, lambda: isinstance(seen.app.screen, HistoryScreen))
        assert len(seen.app.screen_stack) == depth


async def test_tuning_from_the_board_is_about_the_alarm_under_the_cursor() -> None:
    async with play() as seen:
        await seen.pilot.press("b")
        await until(
            seen.pilot, lambda: isinstance(seen.app.screen, MainScreen) and seen.app.screen.alarm is not None
        )
        await seen.pilot.press("t")
        await seen.says("10.0.0.5 → 10.0.0.9:5432", "Tuning")


# The end


@pytest.mark.parametrize(
    ("state", "words", "says", "bad"),
    [
        ("kept", (), "✔ KEPT", False),
        ("reverted", ("the time was up",), "◀ WENT BACK", False),
        ("conflict", (f"{RANGE} is 1 2 and was left",), "▲ CONFLICT", True),
        ("stuck", (STUCK,), "✖ STUCK", True),
        ("rebooted", (), "the machine was restarted", False),
    ],
)
async def test_T17_the_end_is_told_until_it_was_read(
    state: State, words: tuple[str, ...], says: str, bad: bool
) -> None:
    async with play() as seen:
        await seen.held()
        seen.desk.say(Told(transaction(PLAN, state, words=words)), Standing(None))
        await seen.says(says, *words)
        await seen.pilot.press("down")
        assert says in text(seen.app)
        seen.clock.now += READ
        await seen.pilot.press("up")
        assert (says in text(seen.app)) == bad
        await seen.pilot.press("escape")
        await until(seen.pilot, lambda: says not in text(seen.app))


async def test_kept_but_not_persisted_is_no_good_end() -> None:
    async with play(deaf=True) as seen:
        await seen.held()
        await seen.pilot.press("P")
        await until(seen.pilot, lambda: bool(seen.decided))
        why = "it holds until a restart, and was not written to /etc/sysctl.d: No space left on device"
        seen.desk.say(Told(transaction(PLAN, "kept", words=(why,))), Standing(None))
        await seen.says("▲ KEPT, NOT PERSISTED", why)
        assert seen.app.screen.query_one(HoldBar).has_class("-bad")


async def test_a_good_end_goes_by_itself() -> None:
    async with play() as seen:
        await seen.held()
        seen.desk.say(Told(transaction(PLAN, "kept")))
        await seen.says("KEPT")
        seen.clock.now += STAYS
        await until(seen.pilot, lambda: "KEPT" not in text(seen.app))


async def test_an_end_without_a_word_is_looked_up_in_the_history() -> None:
    async with play() as seen:
        await seen.held()
        seen.desk.history = [transaction(PLAN, "reverted", words=("the time was up",))]
        seen.desk.hold(None)
        await seen.says("WENT BACK", "the time was up")
        assert Recall() in seen.desk.asked


async def test_an_end_that_nobody_knows_says_so() -> None:
    async with play() as seen:
        await seen.held()
        seen.desk.hold(None)
        await seen.says("ENDED", ID, "sockmon tune history")


async def test_a_word_from_before_the_end_does_not_bring_it_back() -> None:
    async with play() as seen:
        held = await seen.held()
        seen.desk.say(Told(transaction(PLAN, "kept")), Standing(held, 40.0), Standing(None))
        await seen.says("KEPT")
        await seen.settle()
        assert "s left" not in text(seen.app)


async def test_the_next_change_takes_the_place_of_the_last_ones_end() -> None:
    async with play() as seen:
        await seen.held()
        seen.desk.say(Told(transaction(PLAN, "stuck", words=(STUCK,))), Standing(None))
        await seen.says("STUCK")
        seen.desk.hold(transaction(PLAN, id="20250615-150700-cd34"))
        await seen.says("HOLDING")
        assert "STUCK" not in text(seen.app)


# Without a screen


def test_a_person_presses_one_key_at_a_time() -> None:
    def alone(*keys: tuple[str, float]) -> list[bool]:
        presses = Presses()
        found = []
        for key, at in keys:
            presses.add(key, at)
            found.append(presses.alone)
        return found

    assert alone(("K", 0.0)) == [True]
    assert alone(("K", 0.0), ("K", 0.03), ("K", 0.06), ("K", 0.06 + REPEAT)) == [True, False, False, True]
    assert alone(("x", 0.0), ("K", BURST / 2)) == [True, False]
    assert alone(("x", 0.0), ("K", BURST)) == [True, True]


def test_the_time_left_is_the_desks_and_goes_on_without_it() -> None:
    clock = Clock()
    hold = Hold(clock)
    hold.stand(Standing(transaction(PLAN, hold=60.0), 30.0))
    assert (hold.left, hold.share, hold.early) == (30, 0.5, True)
    clock.now += 12.5
    assert (hold.left, hold.early, hold.urgent) == (18, False, False)
    # The machine slept, or somebody asked for more time.
    hold.stand(Standing(transaction(PLAN, hold=60.0), 5.0))
    assert (hold.left, hold.urgent) == (5, True)
    hold.stand(Standing(transaction(PLAN, hold=60.0), 600.0))
    assert (hold.left, hold.share) == (600, 1.0)


def test_an_end_that_was_forgotten_is_found_by_its_id() -> None:
    hold = Hold()
    hold.stand(Standing(transaction(PLAN), 1.0))
    assert hold.stand(Standing(None))
    other = transaction(PLAN, "kept", id="20250615-000000-0000")
    hold.recall((other, transaction(PLAN, "conflict")))
    assert hold.ended is not None
    assert (hold.ended.state, hold.bad) == ("conflict", True)
    assert not hold.stand(Standing(None))


def test_what_was_refused_was_never_held() -> None:
    hold = Hold()
    hold.tell(transaction(PLAN, "refused", words=("another change is being held",)))
    assert not hold.shown
