"""The part of the app that talks to the helper: every screen shows the pending change; keys decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.events import Event, Key, Paste
from textual.widgets import Input

from sockmon.assess import Assessment
from sockmon.model.boot import Drift
from sockmon.model.helper_protocol import Answer, ChangeResult, HelperStatus, History, Request
from sockmon.model.plan import NetnsTarget, Plan
from sockmon.model.report import Reading
from sockmon.model.transaction import Transaction
from sockmon.text import sanitize
from sockmon.ui import keys, workers
from sockmon.ui.messages import HelperExited, HelperReplied
from sockmon.ui.protocols import HelperListener
from sockmon.ui.tuning.held_change import HoldAction
from sockmon.ui.tuning.key_press import MIN_KEY_GAP, KeyPressFilter
from sockmon.ui.tuning.session import HelperSession

if TYPE_CHECKING:
    from sockmon.tuning.planning.context import PlanContext

COUNTDOWN_TICK = 0.25
"""Seconds between checks of the countdown; only a new second is drawn."""


class HoldApp(App[None]):
    """Exchanges messages with the helper, and shows the hold bar on the top screen while it has content."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("hold"))

    helper_session: HelperSession
    keys: dict[str, str]
    """Action id → keys, of the actions whose keys the user chose."""
    newest: Assessment | None = None
    """The last Assessment, shown or not."""

    def __init__(self, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._key_presses = KeyPressFilter()
        self._hold_drawn = False
        """Whether the hold bar ever had content; before, its code may not be imported yet."""

    def _start_helper_session(self) -> None:
        """Start the thread that reads the answers of the helper."""
        self._countdown = self.set_interval(COUNTDOWN_TICK, self._tick, pause=True)
        if self.helper_session.helper is not None:
            workers.start_thread(workers.read_helper, self.helper_session.helper, self.post_message)

    @property
    def helper_status(self) -> HelperStatus | None:
        """The newest status of the helper; None before the first one."""
        return self.helper_session.status

    @property
    def cannot_tune(self) -> str:
        """Why no change can be applied; empty if one can."""
        return self.helper_session.why_not

    @property
    def unfinished_changes(self) -> tuple[Transaction, ...]:
        """The pending change, and those whose guard has not finished."""
        hold = self.helper_session.hold
        return (*((hold.pending,) if hold.pending else ()), *hold.unrecovered)

    @property
    def drift(self) -> tuple[Drift, ...]:
        """Kept settings that have another value now, or will have after a reboot."""
        return self.helper_session.hold.drift

    @property
    def key_was_pressed(self) -> bool:
        """Whether the user has pressed a key since the start."""
        return self._key_presses.count > 0

    @property
    def keys_waiting(self) -> int:
        """How many keys wait for the one before them: none, in an app that does not queue them."""
        return 0

    def plan_in(self, netns: NetnsTarget | None) -> None:
        """Read and plan the settings of this network namespace from now on; None: that of sockmon."""
        self.helper_session.plan_in(netns)

    def plan_context(self) -> PlanContext | None:
        """Return what a plan is made from; None before the first values."""
        return self.helper_session.plan_context(self.newest)

    def with_reasons(self, plan: Plan, about: Reading | None) -> Plan:
        """Return the plan with the alarms of this moment that it is meant to end: `about`, or all that fit."""
        from sockmon.tuning.planning.reasons import with_reasons

        if self.newest is None:
            return plan
        own = self.newest.of(plan.netns)
        here = about is not None and (about.netns is None or about.netns.inode == plan.netns)
        return with_reasons(plan, own.report, own.snapshot, about.key if about and here else None)

    def ask_helper(self, request: Request) -> bool:
        """Send a request to the helper; return False if there is no helper."""
        return self.helper_session.ask(request)

    def on_helper_replied(self, message: HelperReplied) -> None:
        """Take an answer of the helper, and pass it to the top screen."""
        self.helper_session.on_answer(message.answer)
        if self.newest is not None:
            self.helper_session.follow(self.newest)
        self.draw_hold()
        self.note_transactions(_transactions(message.answer))
        if isinstance(self.screen, HelperListener):
            self.screen.on_helper_answer(message.answer)

    def note_transactions(self, transactions: Iterable[Transaction]) -> None:
        """Do nothing: an app with guides notes what became of their changes."""

    def on_helper_exited(self, message: HelperExited) -> None:
        """Show it if a change is pending; `cannot_tune` has the reason from now on."""
        self.helper_session.on_exit(sanitize(message.reason))
        self.draw_hold()

    # The bar

    def draw_hold(self) -> None:
        """Draw the bar on the top screen; mount it when it has content for the first time."""
        if not self.screen_stack or not self.screen.is_mounted:
            return
        hold = self.helper_session.hold
        if hold.shown or self._hold_drawn:
            self._draw_bar()
        if hold.pending or hold.ended:
            self._countdown.resume()
        else:
            self._countdown.pause()

    def _draw_bar(self) -> None:
        from sockmon.ui.tuning.hold_bar import HoldBar

        self._hold_drawn = True
        hold = self.helper_session.hold
        bar = next((child for child in self.screen.children if isinstance(child, HoldBar)), None)
        if bar is not None:
            bar.draw()
        elif hold.shown:
            self.screen.mount(HoldBar(hold, keys.effective(self.keys)))

    def _tick(self) -> None:
        self.helper_session.hold.tick()
        self.draw_hold()

    # The keys

    async def on_event(self, event: Event) -> None:
        """Note the time of each key before it is handled."""
        if isinstance(event, Key) and not event.is_forwarded:
            self._key_presses.add(event.key, event.time)
            if self.helper_session.hold.dismiss(any_key=True) or self._cancel_confirmation(event.key):
                self.draw_hold()
        elif isinstance(event, Paste) and self.helper_session.hold.confirming:
            self.helper_session.hold.cancel_confirmation()
            self.draw_hold()
        await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable the keys that decide only while a change is pending and no text is being typed."""
        if action in ("keep", "keep_persist", "revert"):
            return self.helper_session.hold.decidable and not isinstance(self.focused, Input)
        return super().check_action(action, parameters)

    def _cancel_confirmation(self, key: str) -> bool:
        """Forget the first press of the key that persists if another key follows."""
        hold, persists = self.helper_session.hold, keys.effective(self.keys)["keep.persist"]
        if not hold.confirming or keys.canonical(key) in map(keys.canonical, persists.split(",")):
            return False
        hold.cancel_confirmation()
        return True

    def action_keep(self) -> None:
        """Keep the pending change until the next reboot."""
        self._request("keep")

    def action_keep_persist(self) -> None:
        """Keep the pending change and write it to disk, once the key came twice."""
        self._request("persist")

    def action_revert(self) -> None:
        """Roll the pending change back now."""
        self._request("revert")

    def _request(self, requested: HoldAction) -> None:
        """Send the request if the key was pressed deliberately, once."""
        hold = self.helper_session.hold
        if hold.pending is None or hold.requested is not None or hold.too_early:
            return
        if not self._key_presses.is_deliberate:
            hold.too_fast = hold.confirming
            self.draw_hold()
            return
        count, id = self._key_presses.count, hold.pending.id

        def decide() -> None:
            same = hold.pending is not None and hold.pending.id == id
            # A key that waits was pressed already: the timer can end before it is given out.
            if same and self._key_presses.count == count and not self.keys_waiting:
                self._decide(requested)
                self.draw_hold()

        self.set_timer(MIN_KEY_GAP, decide)

    def _decide(self, requested: HoldAction) -> None:
        from sockmon.ui.tuning import hold_text

        hold = self.helper_session.hold
        if requested == "persist" and not hold.persistable:
            hold.on_failure(hold_text.not_persistable(hold, keys.effective(self.keys)))
        elif requested == "persist" and not hold.confirming:
            hold.ask_confirmation()
        else:
            self.helper_session.decide(requested)


def _transactions(answer: Answer) -> Iterable[Transaction]:
    """Return the changes that an answer is about."""
    if isinstance(answer, ChangeResult):
        return (answer.transaction,)
    if isinstance(answer, History):
        return answer.transactions
    return (answer.pending,) if isinstance(answer, HelperStatus) and answer.pending else ()
