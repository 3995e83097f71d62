"""The app: themes, the source and the helper, the screens, and the keys that work on all of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from rich.console import RenderableType
from textual.app import SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen

from sockmon import settings
from sockmon.assess import Assessment
from sockmon.assess.several import HostAssessor
from sockmon.ceilings.level_rules import LevelRules
from sockmon.errors import ScreenFault, SockmonError
from sockmon.log import hint as traceback_hint
from sockmon.model.detail import Request, SetInterval
from sockmon.model.transaction import Actor
from sockmon.sources import Source
from sockmon.text import sanitize
from sockmon.ui import commands, keys, workers
from sockmon.ui.appearance import styles, themes
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.driver import Terminal
from sockmon.ui.guiding.guiding_app import GuidingApp
from sockmon.ui.help import HelpScreen
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.messages import Answered, Sampled, SourceInterrupted, SourceLost, SourceNoted
from sockmon.ui.painted_app import PaintedApp
from sockmon.ui.protocols import AssessmentView
from sockmon.ui.resizing import ignore_old_sizes
from sockmon.ui.stream_monitor import StreamMonitor
from sockmon.ui.tuning.session import HelperSession

log = logging.getLogger(__name__)

SILENCE_CHECK_SECONDS = 1.0
UNKNOWN_ACTOR = Actor(0, "unknown", "", "")


class SockmonApp(PaintedApp, GuidingApp):
    """Draws the samples of a source and sends requests to the helper; reads no kernel file and writes nothing."""

    TITLE = "sockmon"
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
    ENABLE_COMMAND_PALETTE = True

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
    ) -> None:
        ignore_old_sizes()
        # NO_COLOR means none at all, which Textual does for ANSI themes only; elsewhere it makes greys.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.terminal = terminal
        self.actor = actor
        self.netns = netns
        self.source = source
        self.settings = chosen
        self.read_only = read_only or chosen.read_only
        if self.read_only and helper is not None:
            # A read-only screen has no helper that it could ask for a change.
            helper.close()
            helper = None
        self.helper_session = HelperSession(helper, "it was started read-only" if self.read_only else no_helper)
        self.assessor = assessor or HostAssessor(levels=LevelRules(chosen.levels))
        self.lab_intro = lab_intro
        """Two lines about the lab that is shown: what it does and what to watch; empty for a host."""
        self.failure: SockmonError | None = None
        """Why there is nothing to show."""
        self.keys, self._key_faults = keys.validate(chosen.keys)
        self.paused = False
        self._shown: Assessment | None = None
        self._silence: asyncio.TimerHandle | None = None
        """Shows that no sample comes."""
        self._stream = StreamMonitor(source, chosen.interval)
        self._loaded = themes.load(themes.shipped_dir(), settings.config_dir() / "themes")
        for theme in self._loaded.themes:
            self.register_theme(theme)

    # Colours

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return our variables for themes that do not set them."""
        return themes.derived_variables(self.current_theme)

    def _choose_theme(self) -> None:
        poor = self.console.color_system in (None, "standard") or "NO_COLOR" in os.environ
        wanted = self.settings.theme or (themes.CONSOLE if poor else themes.DEFAULT)
        if wanted in self.available_themes:
            self.theme = wanted
        else:
            self.show_message(f"config.toml: {self.unknown_theme(wanted)}")

    @property
    def cannot_act(self) -> str:
        """Why nothing can be closed, deleted or signalled from this screen; empty if the helper decides."""
        return self.helper_session.why_no_helper or self.settings.why_no_actions

    def unknown_theme(self, name: str) -> str:
        """Return the message about a theme that does not exist."""
        near = get_close_matches(name, self.available_themes, 1)
        return f"unknown theme {name!r}" + (f"; nearest: {near[0]}" if near else "")

    def watch_theme(self, theme: str) -> None:
        """Set the style names to the colours of the new theme, and draw."""
        styles.install(self.console, self.get_css_variables())
        self._refresh_top()

    # Beginning and end

    def on_mount(self) -> None:
        styles.install(self.console, self.get_css_variables())
        self._choose_theme()
        faults = [fault.message for fault in self._loaded.faults] + list(self.settings.faults)
        for text in (*faults, *(f"config.toml: {text}" for text in self._key_faults)):
            log.warning("%s", text)
            self.show_message(text)
        self.set_keymap(self.keys)
        self.screen_change_signal.subscribe(self, lambda screen: self.call_later(self._refresh_top))
        self.push_screen(MainScreen(self.lab_intro))
        self._watch_for_silence()
        workers.start_thread(workers.read_source, self.source, self.assessor, self.post_message)
        self._start_helper_session()

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Exit within two seconds, also if a process does not answer."""
        if self.terminal is not None:
            self.terminal.begin_exit(return_code)
        super().exit(result, return_code, message)

    def _handle_exception(self, error: Exception) -> None:
        """Log an unexpected exception with its traceback, and exit with one line.

        Textual would draw all local variables, which takes seconds."""
        log.error("the screen ended", exc_info=error)
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._return_code = 1
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = ScreenFault(
                f"the screen failed: {type(error).__name__}: {sanitize(str(error))}",
                "; ".join(filter(None, ("sockmon check needs no screen", traceback_hint()))),
            )
        self._close_messages_no_wait()

    def show_message(self, text: str, severity: SeverityLevel = "warning") -> None:
        """Show a notification of plain text, which is never markup; it replaces one with the same text."""
        text = sanitize(text)
        for shown in list(self._notifications):
            if shown.message == text:
                self._unnotify(shown)
        self.notify(text, severity=severity, markup=False, timeout=8)

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
            self._refresh_top()

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

    def _refresh_top(self) -> None:
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

    def get_key_display(self, binding: Binding) -> str:
        """Return a key as it is printed on the keyboard."""
        return keys.show_keys(binding.key)

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Do nothing: a link in text of another program must not start a browser."""

    async def action_back(self) -> None:
        """Go one step back: first close the message of a change, then the filter, then the screen."""
        if self.helper_session.hold.dismiss():
            self.draw_hold()
        elif isinstance(self.screen, MainScreen | DetailScreen) and self.screen.back():
            return
        elif not isinstance(self.screen, MainScreen):
            self.pop_screen()

    def pop_screen(self) -> AwaitComplete:
        """Close the screen on top, but never the main screen: a burst of keys can close the palette twice."""
        return AwaitComplete() if isinstance(self.screen, MainScreen) else super().pop_screen()

    def action_leave(self) -> None:
        """Close the screen, or exit if it is the main screen."""
        if isinstance(self.screen, MainScreen):
            self.exit()
        else:
            self.pop_screen()

    def action_suspend(self) -> None:
        """Give the terminal to the shell until `fg`, if there is a shell with job control."""
        if self.terminal is not None and self.terminal.can_be_continued():
            self.action_suspend_process()
        else:
            self.show_message("not suspended: no shell with job control could continue it")

    def action_help(self) -> None:
        """Open or close the help."""
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
            self._refresh_top()

    def action_refresh_now(self) -> None:
        """Draw the newest data and the whole screen: another program may have written on the terminal."""
        self._shown = self.newest
        if self._driver is not None:
            self.draw_all()
        self._refresh_top()

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
