"""An app that hears the desk: what is held is told on every screen, and keys decide about it."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.events import Event, Key
from textual.screen import ModalScreen
from textual.widgets import Footer, Input

from sockmon.assess import Assessment
from sockmon.model.clean import clean
from sockmon.model.desk import Looked, Request, Standing
from sockmon.tuning.here import Here
from sockmon.ui import feed, keys
from sockmon.ui.hold import Wish
from sockmon.ui.messages import DeskEnded, Heard
from sockmon.ui.presses import BURST, Presses
from sockmon.ui.screens import Hears
from sockmon.ui.tuning import Tuning
from sockmon.ui.widgets.hold import HoldBar

TICK = 0.25
"""Seconds between looks at the countdown, of which only a new second is drawn."""


class Holding(App[None]):
    """Asks the desk, hears it, and shows the hold bar on the screen on top while there is something to say."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("held"))

    tuning: Tuning
    keys: dict[str, str]
    """Action id → keys, of the actions whose keys were chosen."""
    newest: Assessment | None = None
    """The last Assessment that came, shown or not."""

    def __init__(self, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._presses = Presses()

    def _begin_hearing(self) -> None:
        """Listen to the desk from now on, in a thread of its own."""
        self._countdown = self.set_interval(TICK, self._tick, pause=True)
        if self.tuning.desk is not None:
            hearing = partial(feed.hear, self.tuning.desk, self.post_message)
            self.run_worker(hearing, thread=True, exclusive=True, group="desk", exit_on_error=False)

    @property
    def looked(self) -> Looked | None:
        """The newest that the desk read, of all keys that were asked for."""
        return self.tuning.looked

    @property
    def standing(self) -> Standing | None:
        """How things stood when the desk said so last."""
        return self.tuning.standing

    @property
    def cannot_tune(self) -> str:
        """Why nothing can be applied from here, in words; empty where it can."""
        return self.tuning.cannot

    @property
    def pressed(self) -> bool:
        """Whether a key was ever pressed."""
        return self._presses.count > 0

    def here(self) -> Here | None:
        """What a plan is made from; None until something is known."""
        return self.tuning.here(self.newest)

    def ask_desk(self, request: Request) -> bool:
        """Send a request to the desk; False where there is none."""
        return self.tuning.ask(request)

    def on_heard(self, message: Heard) -> None:
        """Keep what the desk says, and hand it to the screen on top."""
        self.tuning.hear(message.answer)
        self.draw_hold()
        if isinstance(self.screen, Hears):
            self.screen.hear(message.answer)

    def on_desk_ended(self, message: DeskEnded) -> None:
        """Say so where something is held; whoever wants to change something asks `cannot_tune`."""
        self.tuning.end(clean(message.why))
        self.draw_hold()

    # The bar

    def draw_hold(self) -> None:
        """The bar on the screen on top; it comes with the first thing that it has to say."""
        if not self.screen_stack or not self.screen.is_mounted:
            return
        hold = self.tuning.hold
        bars = self.screen.query(HoldBar)
        if hold.shown and not bars:
            # A page over another one has nothing below it that would keep the bar at the bottom.
            lonely = isinstance(self.screen, ModalScreen) and not self.screen.query(Footer)
            self.screen.mount(HoldBar(hold, keys.effective(self.keys), lonely))
        for bar in bars:
            bar.draw()
        if hold.held or hold.ended:
            self._countdown.resume()
        else:
            self._countdown.pause()

    def _tick(self) -> None:
        self.tuning.hold.tick()
        self.draw_hold()

    # The keys

    async def on_event(self, event: Event) -> None:
        """Notice when keys come, before they do what they do."""
        if isinstance(event, Key) and not event.is_forwarded:
            self._presses.add(event.key, event.time)
            if self.tuning.hold.hide(any_key=True):
                self.draw_hold()
        await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that decide about a change live while one is held, and never where letters are typed."""
        if action in ("keep", "keep_persist", "revert"):
            return self.tuning.hold.live and not isinstance(self.focused, Input)
        return super().check_action(action, parameters)

    def action_keep(self) -> None:
        """Let what is held stay until the next restart."""
        self._wish("keep")

    def action_keep_persist(self) -> None:
        """Let what is held stay, and write it down for the next restart."""
        self._wish("persist")

    def action_revert(self) -> None:
        """Put what is held back now."""
        self._wish("revert")

    def _wish(self, wish: Wish) -> None:
        """Do it once it is sure that a person pressed that key for this, once."""
        hold = self.tuning.hold
        if hold.held is None or hold.wish is not None or hold.early or not self._presses.alone:
            return
        count, id = self._presses.count, hold.held.id

        def decide() -> None:
            if self._presses.count == count and hold.held is not None and hold.held.id == id:
                self.tuning.decide(wish)
                self.draw_hold()

        self.set_timer(BURST, decide)
