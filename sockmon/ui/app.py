"""The app: themes, the source and the helper, the screens, and the keys that work on all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.events import Event, Key, MouseDown
from textual.screen import Screen

from sockmon import settings
from sockmon.assess import Assessment
from sockmon.assess.several import HostAssessor
from sockmon.ceilings.level_rules import LevelRules
from sockmon.errors import SockmonError
from sockmon.model.detail import Request, SetInterval
from sockmon.model.transaction import Actor
from sockmon.sources import Source
from sockmon.ui import commands, keys, workers
from sockmon.ui.configured_app import ConfiguredApp
from sockmon.ui.driver import Terminal
from sockmon.ui.guiding.guiding_app import GuidingApp
from sockmon.ui.later_imports import LaterImports
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.messages import Answered, Sampled, SourceInterrupted, SourceLost, SourceNoted
from sockmon.ui.protocols import AssessmentView
from sockmon.ui.stream_monitor import StreamMonitor
from sockmon.ui.tuning.session import HelperSession

log = logging.getLogger(__name__)

SILENCE_CHECK_SECONDS = 1.0
UNKNOWN_ACTOR = Actor(0, "unknown", "", "")


class SockmonApp(ConfiguredApp, GuidingApp):
    """Draws the samples of a source and sends requests to the helper; reads no kernel file and writes nothing."""

    # All of them at the start: with no descriptor left a screen could not be opened that reads its own.
    CSS_PATH: ClassVar[list[str]] = [  # type: ignore[assignment]
        "app.tcss",
        "main/main.tcss",
        "detail/detail.tcss",
        "tuning/tune.tcss",
        "guiding/guiding.tcss",
        "confirming/confirming.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("app"))

    def __init__(
        self,
        source: Source,
        chosen: settings.Settings,
        read_only: bool = False,
        assessor: workers.TakesSnapshots | None = None,
        lab_intro: str = "",
        helper: workers.Helper | None = None,
        no_helper: str = "",
        terminal: Terminal | None = None,
        actor: Actor = UNKNOWN_ACTOR,
        netns: str = "",
        on_return: Callable[[], object] | None = None,
    ) -> None:
        """`on_return`: called before the exit if the user goes back to the fleet that has opened this screen; None
        if no fleet has."""
        super().__init__(chosen, terminal)
        self.actor = actor
        self.netns = netns
        self._on_return = on_return
        self.source = source
        self.read_only = read_only or chosen.read_only
        if self.read_only and helper is not None:
            # A read-only screen has no helper that it could ask for a change.
            helper.close()
            helper = None
        self.helper_session = HelperSession(helper, "it was started read-only" if self.read_only else no_helper)
        self.assessor = assessor or HostAssessor(levels=LevelRules(chosen.levels))
        self.lab_intro = lab_intro
        """Two lines about the lab that is shown: what it does and what to watch; empty for a host."""
        self.paused = False
        self._shown: Assessment | None = None
        self._silence: asyncio.TimerHandle | None = None
        """Shows that no sample comes."""
        self._stream = StreamMonitor(source, chosen.interval)
        self._pages = LaterImports()

    @property
    def cannot_act(self) -> str:
        """Why nothing can be closed, deleted or signalled from this screen; empty if the helper decides."""
        return self.helper_session.why_no_helper or self.settings.why_no_actions

    # Beginning and end

    def on_mount(self) -> None:
        self.apply_settings()
        self.screen_change_signal.subscribe(self, lambda screen: self.call_later(self.draw_top))
        self.push_screen(MainScreen(self.lab_intro))
        if self._on_return:
            self.show_message("Esc returns to the fleet", "information")
        self._watch_for_silence()
        workers.start_thread(workers.read_source, self.source, self.assessor, self.post_message)
        self._start_helper_session()

    # The stream

    def on_sampled(self, message: Sampled) -> None:
        """Keep the newest sample, and draw it unless the screen is paused."""
        self.newest = message.take()
        self.follow(self.newest)
        self._stream.on_sample()
        self._watch_for_silence()
        self.helper_session.follow(self.newest)
        if self.paused:
            self.draw_hold()
            self._show_status()
        else:
            self._shown = self.newest
            self.draw_top()

    def on_answered(self, message: Answered) -> None:
        """Pass an answer to the top screen, which drops answers that it did not ask for."""
        if isinstance(self.screen, AssessmentView):
            self.screen.answer(message.detail)

    @property
    def ended(self) -> bool:
        """Whether the source has ended."""
        return self._stream.ended

    def on_source_lost(self, message: SourceLost) -> None:
        """Show that the stream ended, and keep the last sample; exit with the reason if there is none."""
        if self.newest is None:
            self.failure = message.error or SockmonError("the data ended before the first sample")
            self.exit(return_code=1)
            return
        self._stream.on_lost(message.error)
        self._show_status()

    def on_source_interrupted(self, message: SourceInterrupted) -> None:
        """Show why no data comes and when the next attempt is; the last data stays."""
        if self._stream.interruption is None and not isinstance(self.screen, MainScreen):
            # Only the main screen has a banner.
            self.show_message(f"{message.interruption.reason}: the data shown is old until the agent runs again")
        self._stream.interruption = message.interruption
        self._watch_for_silence()
        self._show_status()

    def on_source_noted(self, message: SourceNoted) -> None:
        """Show what part of the stream was dropped."""
        self._stream.note = message.text
        self._show_status()

    def ask(self, request: Request) -> bool:
        """Send a request to the source; return False if it cannot answer."""
        return not self._stream.ended and self.source.ask(request)

    def on_board_drawn(self) -> None:
        """Import what the first board did not need."""
        self._pages.begin()

    def draw_top(self) -> None:
        """Draw the newest sample that is to be shown on the screen on top."""
        top = self.screen if self.screen_stack else None
        if self._shown is not None and isinstance(top, AssessmentView) and top.is_mounted:
            top.show(self._shown)
        self.draw_hold()
        self._show_status()

    def _watch_for_silence(self) -> None:
        """Check for silence soon, unless a sample comes before: a timer of Textual would wake each second."""
        if self._silence is not None:
            self._silence.cancel()
        delay = SILENCE_CHECK_SECONDS if self._stream.late else self._stream.interval + SILENCE_CHECK_SECONDS
        self._silence = asyncio.get_running_loop().call_later(delay, self.call_later, self._check_for_silence)

    def _check_for_silence(self) -> None:
        """Show that a sample is late; no sample comes that would draw the screen."""
        if self._stream.late:
            self._show_status()
        self._watch_for_silence()

    def _show_status(self) -> None:
        status = self._stream.status(self.paused, self.read_only)
        for screen in self.screen_stack:
            if isinstance(screen, MainScreen) and screen.is_mounted:
                screen.show_status(status)

    # Keys

    async def on_event(self, event: Event) -> None:
        """Handle a key or click once all pages are imported; if they cannot be, only one that leaves."""
        if isinstance(event, Key | MouseDown) and not event.is_forwarded and not self._pages.done:
            why = self._pages.finish()
            if why and not (isinstance(event, Key) and self._leaves(event.key)):
                self.show_message(f"not yet: the code of the pages cannot be read ({why}); try again")
                return
        await super().on_event(event)

    def _leaves(self, key: str) -> bool:
        chosen = keys.effective(self.keys)
        leaving = f"{chosen['quit']},{chosen['quit.now']}".split(",")
        return keys.canonical(key) in map(keys.canonical, leaving)

    async def action_back(self) -> None:
        """Go one step back: first close the message of a change, then the filter, then the screen."""
        from sockmon.ui.detail.detail_screen import DetailScreen

        if self.helper_session.hold.dismiss():
            self.draw_hold()
        elif isinstance(self.screen, MainScreen | DetailScreen) and self.screen.back():
            return
        elif not isinstance(self.screen, MainScreen):
            self.pop_screen()
        elif self._on_return:
            self.action_leave()

    def pop_screen(self) -> AwaitComplete:
        """Close the screen on top, but never the main screen: a burst of keys can close the palette twice."""
        return AwaitComplete() if isinstance(self.screen, MainScreen) else super().pop_screen()

    def action_leave(self) -> None:
        """Close the screen, or exit if it is the main screen."""
        if not isinstance(self.screen, MainScreen):
            self.pop_screen()
            return
        if self._on_return:
            self._on_return()
        self.exit()

    def action_suspend(self) -> None:
        """Suspend, but not below a fleet: the shell would wait for that."""
        if self._on_return:
            self.show_message("not suspended: return to the fleet first")
        else:
            super().action_suspend()

    def action_help(self) -> None:
        """Open or close the help."""
        from sockmon.ui.detail.detail_screen import DetailScreen
        from sockmon.ui.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            first = self.screen.HELP_FIRST if isinstance(self.screen, DetailScreen) else {}
            self.push_screen(HelpScreen(keys.effective(self.keys), self.read_only, first))

    # Time

    def action_pause(self) -> None:
        """Pause the screen, or show the newest sample."""
        self.paused = not self.paused
        if self.paused:
            self._show_status()
        else:
            self._shown = self.newest
            self.draw_top()

    def action_refresh_now(self) -> None:
        """Start an agent that has ended, and draw the newest data and the whole screen: another program may have
        written on the terminal."""
        self._shown = self.newest
        if self._stream.interruption is not None:
            self.source.retry()
        if self._driver is not None:
            self.draw_all()
        self.draw_top()

    def action_pace(self, factor: float) -> None:
        """Change the sampling interval, within its bounds."""
        wanted = min(max(self._stream.interval * factor, settings.MIN_INTERVAL), settings.MAX_INTERVAL)
        if self.ask(SetInterval(wanted)):
            self._stream.interval = wanted
        else:
            self.show_message("this source has a fixed interval")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return the commands of the palette: the actions of the keys, and the themes."""
        return commands.commands(self, screen, self.keys)
