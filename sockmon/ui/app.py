"""The app: themes, the feeds, what is on top of the stack, and the keys that work everywhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen

from sockmon.assess import Assessment, Assessor
from sockmon.errors import SockmonError
from sockmon.model.change import Proposal
from sockmon.model.clean import clean
from sockmon.model.detail import Focus, Request, SetInterval
from sockmon.model.report import Reading
from sockmon.sources import Source
from sockmon.ui import commands, feed, keys, settings, styles, themes
from sockmon.ui.ascii import Ascii, needed
from sockmon.ui.header import Status
from sockmon.ui.holding import Holding
from sockmon.ui.messages import Answered, Sampled, SourceLost
from sockmon.ui.screens import Shows, opening
from sockmon.ui.screens.help import HelpScreen
from sockmon.ui.screens.history import HistoryScreen
from sockmon.ui.screens.main import MainScreen
from sockmon.ui.screens.preview import PreviewScreen
from sockmon.ui.screens.prove import ProveScreen
from sockmon.ui.screens.tune import TuneScreen
from sockmon.ui.tuning import Tuning


class SockmonApp(Holding):
    """Draws a source's stream and asks the desk; never opens the kernel, never writes."""

    TITLE = "sockmon"
    # All of them at the start: with no descriptor left a screen could not be opened that reads its own.
    CSS_PATH: ClassVar[list[str]] = [  # type: ignore[assignment]
        "app.tcss",
        "screens/main.tcss",
        "screens/detail.tcss",
        "screens/tune.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("app"))
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        source: Source,
        chosen: settings.Settings,
        read_only: bool = False,
        assessor: Assessor | None = None,
        story: str = "",
        desk: feed.Desk | None = None,
        no_desk: str = "",
    ) -> None:
        # NO_COLOR means none at all, which Textual does for ANSI themes only; elsewhere it makes greys.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.source = source
        self.settings = chosen
        self.read_only = read_only or chosen.read_only
        if self.read_only and desk is not None:
            # Nobody may be there who could be asked.
            desk.close()
            desk = None
        self.tuning = Tuning(desk, "it was started read-only" if self.read_only else no_desk)
        self.assessor = assessor or Assessor()
        self.story = story
        """Two lines about what is shown: what happens, what to look for. Empty: a host like any other."""
        self.failure: SockmonError | None = None
        """Why there was never anything to show."""
        self.keys, self._bad_keys = keys.sound(chosen.keys)
        self.paused = False
        self._shown: Assessment | None = None
        self._interval = chosen.interval
        self._heard = time.monotonic()
        self._lost: str | None = None
        self._plain = Ascii(needed())
        self._loaded = themes.load(themes.shipped(), settings.home() / "themes")
        for theme in self._loaded.themes:
            self.register_theme(theme)

    # Colours

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our variables for themes that do not set them."""
        return themes.derive(self.current_theme)

    def get_line_filters(self) -> list[LineFilter]:
        """Textual's, and ours for terminals without block characters."""
        return [*super().get_line_filters(), *([self._plain] if self._plain.enabled else [])]

    def _choose_theme(self) -> None:
        poor = self.console.color_system in (None, "standard") or "NO_COLOR" in os.environ
        wanted = self.settings.theme or (themes.CONSOLE if poor else themes.DEFAULT)
        if wanted in self.available_themes:
            self.theme = wanted
        else:
            self.tell(f"theme: there is none called {wanted!r}")

    def watch_theme(self, theme: str) -> None:
        """Let the style names mean the new theme's colours, and draw with them."""
        styles.install(self.console, self.get_css_variables())
        self._refresh_top()

    # Beginning and end

    def on_mount(self) -> None:
        styles.install(self.console, self.get_css_variables())
        self._choose_theme()
        for fault in self._loaded.faults:
            self.tell(fault.message)
        for text in self._bad_keys:
            self.tell(text)
        self.set_keymap(self.keys)
        self.screen_change_signal.subscribe(self, lambda screen: self.call_later(self._refresh_top))
        self.push_screen(MainScreen(self.story))
        self.set_interval(1.0, self._notice_silence)
        work = partial(feed.run, self.source, self.assessor, self.post_message)
        self.run_worker(work, thread=True, exclusive=True, group="source", exit_on_error=False)
        self._begin_hearing()

    def on_unmount(self) -> None:
        self.source.close()
        if self.tuning.desk is not None:
            self.tuning.desk.close()

    def _fatal_error(self) -> None:
        """A fault of ours, in a sentence: Textual would draw all that is in memory, for seconds."""
        error = sys.exc_info()[1]
        self.failure = SockmonError(
            f"the screen had a fault: {type(error).__name__}: {clean(str(error))}",
            "sockmon check needs no screen; please report this",
        )
        self._close_messages_no_wait()

    def tell(self, text: str, severity: str = "warning") -> None:
        """A notification of plain words: names in it are never markup."""
        self.notify(clean(text), severity="error" if severity == "error" else "warning", markup=False, timeout=8)

    # The stream

    def on_sampled(self, message: Sampled) -> None:
        """Keep the newest, and draw it unless the screen is held still."""
        self.newest = message.assessment
        self._heard = time.monotonic()
        if self.paused:
            self._say_status()
        else:
            self._shown = self.newest
            self._refresh_top()

    def on_answered(self, message: Answered) -> None:
        """Hand an answer to the screen on top; it knows whether it asked."""
        if isinstance(self.screen, Shows):
            self.screen.answer(message.detail)

    def on_source_lost(self, message: SourceLost) -> None:
        """Say so, and go on showing what is known; where nothing is, end with the reason."""
        if self.newest is None:
            self.failure = message.error or SockmonError("the data ended before its first sample")
            self.exit(return_code=1)
            return
        self._lost = message.error.message if message.error else ""
        self._say_status()

    def ask(self, request: Request) -> bool:
        """Send a request to the source; False where it cannot answer."""
        return self._lost is None and self.source.ask(request)

    def _refresh_top(self) -> None:
        top = self.screen if self.screen_stack else None
        if self._shown is not None and isinstance(top, Shows) and top.is_mounted:
            top.show(self._shown)
        self.draw_hold()
        self._say_status()

    def _notice_silence(self) -> None:
        """A late sample must be told although nothing comes that would draw the screen."""
        if time.monotonic() - self._heard > self._interval:
            self._say_status()

    def _say_status(self) -> None:
        silence = time.monotonic() - self._heard
        live = self.source.live
        status = Status(self.source.title, live, self.paused, self.read_only, silence, self._lost)
        for screen in self.screen_stack:
            if isinstance(screen, MainScreen) and screen.is_mounted:
                screen.status(status)

    # Going places

    def tune(self, reading: Reading | None = None) -> None:
        """Open the panel, with the advice of `reading` filled in; without one go back to it where it is open."""
        if reading is not None or not self._return_to(TuneScreen):
            self.push_screen(TuneScreen(reading))

    def preview(self, proposal: Proposal) -> None:
        """Show what a plan does, to be confirmed there."""
        self.push_screen(PreviewScreen(proposal))

    def history(self) -> None:
        """Show what was changed."""
        if not self._return_to(HistoryScreen):
            self.push_screen(HistoryScreen())

    def board(self) -> None:
        """Back to the board, from however deep."""
        self._return_to(MainScreen)

    def _return_to(self, kind: type[Screen[None]]) -> bool:
        """Go back to the screen of that kind; False where none is open."""
        if not any(isinstance(screen, kind) for screen in self.screen_stack):
            return False
        while not isinstance(self.screen, kind):
            self.pop_screen()
        return True

    def prove(self, key: str) -> None:
        """Measure what `key` does."""
        self.push_screen(ProveScreen(key))

    def action_tune(self) -> None:
        """Open the panel, on the board for the alarm under the cursor."""
        self.tune(self.screen.alarm if isinstance(self.screen, MainScreen) else None)

    def action_history(self) -> None:
        """Show what was changed."""
        self.history()

    def open(self, thing: Focus | Reading) -> None:
        """Go deeper: a reading opens its ceiling, a focus its process, port group or listener."""
        self.push_screen(opening.screen_for(thing))

    def get_key_display(self, binding: Binding) -> str:
        """A key as it is printed on the keyboard."""
        return keys.show_keys(binding.key)

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Never: a link in what another program wrote must not start anything."""

    async def action_back(self) -> None:
        """One step back; what is only told goes first, nothing on the main screen."""
        if self.tuning.hold.hide():
            self.draw_hold()
        elif isinstance(self.screen, MainScreen):
            self.screen.back()
        else:
            self.pop_screen()

    def action_leave(self) -> None:
        """Back, or the end from the top."""
        if isinstance(self.screen, MainScreen):
            self.exit()
        else:
            self.pop_screen()

    def action_help(self) -> None:
        """Open the help, or close it."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            self.push_screen(HelpScreen(keys.effective(self.keys), self.read_only))

    # Time

    def action_pause(self) -> None:
        """Hold the screen still, or catch up."""
        self.paused = not self.paused
        self.action_refresh_now() if not self.paused else self._say_status()

    def action_refresh_now(self) -> None:
        """Draw the newest data."""
        self._shown = self.newest
        self._refresh_top()

    def action_pace(self, factor: float) -> None:
        """Sample more or less often, within bounds."""
        wanted = min(max(self._interval * factor, settings.SHORTEST), settings.LONGEST)
        if self.ask(SetInterval(wanted)):
            self._interval = wanted
        else:
            self.tell("this source keeps its own pace")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the same actions as the keys, and the themes."""
        return commands.commands(self, screen, self.keys)
