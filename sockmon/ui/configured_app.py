"""What every app of ours has: the user's settings, themes, messages, keys, and an end within two seconds."""

from __future__ import annotations

import logging
import os
from difflib import get_close_matches

from rich.console import RenderableType
from textual.app import App
from textual.binding import Binding
from textual.notifications import SeverityLevel

from sockmon import settings
from sockmon.errors import ScreenFault, SockmonError
from sockmon.log import hint as traceback_hint
from sockmon.text import sanitize
from sockmon.ui import keys
from sockmon.ui.appearance import styles, themes
from sockmon.ui.driver import Terminal
from sockmon.ui.painted_app import PaintedApp
from sockmon.ui.resizing import ignore_old_sizes

log = logging.getLogger(__name__)


class ConfiguredApp(PaintedApp):
    """Looks and ends as the user and the terminal want it."""

    TITLE = "sockmon"
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, chosen: settings.Settings, terminal: Terminal | None = None) -> None:
        ignore_old_sizes()
        # NO_COLOR means none at all, which Textual does for ANSI themes only; elsewhere it makes greys.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.terminal = terminal
        self.settings = chosen
        self.failure: SockmonError | None = None
        """Why there is nothing to show."""
        self.keys, self._key_faults = keys.validate(chosen.keys)
        self._loaded = themes.load(themes.shipped_dir(), settings.config_dir() / "themes")
        for theme in self._loaded.themes:
            self.register_theme(theme)
        self._set_first_theme()

    # Colours

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return our variables for themes that do not set them."""
        return themes.derived_variables(self.current_theme)

    def _first_theme(self) -> str:
        """Return the theme of the settings if it exists, else the one that fits the terminal."""
        if self.settings.theme in self.available_themes:
            return self.settings.theme
        poor = self.console.color_system in (None, "standard") or "NO_COLOR" in os.environ
        return themes.CONSOLE if poor else themes.DEFAULT

    def _set_first_theme(self) -> None:
        """Set the theme before the styles are parsed: one that is set later makes Textual parse and apply all of
        them again."""
        self.set_reactive(App.theme, self._first_theme())
        dark = self.current_theme.dark
        for name, wanted in ((f"-theme-{self.theme}", True), ("-dark-mode", dark), ("-light-mode", not dark)):
            self.set_class(wanted, name, update=False)
        self._refresh_truecolor_filter(self.ansi_theme)
        self.stylesheet.set_variables(self.get_css_variables())

    def unknown_theme(self, name: str) -> str:
        """Return the message about a theme that does not exist."""
        near = get_close_matches(name, self.available_themes, 1)
        return f"unknown theme {name!r}" + (f"; nearest: {near[0]}" if near else "")

    def watch_theme(self, theme: str) -> None:
        """Set the style names to the colours of the new theme, and draw."""
        styles.install(self.console, self.get_css_variables())
        self.draw_top()

    def draw_top(self) -> None:
        """Draw the screen on top again."""
        raise NotImplementedError

    # Beginning and end

    def apply_settings(self) -> None:
        """Take the keys from the settings, and show what is wrong with the settings and the themes."""
        styles.install(self.console, self.get_css_variables())
        if self.settings.theme and self.settings.theme not in self.available_themes:
            self.show_message(f"config.toml: {self.unknown_theme(self.settings.theme)}")
        faults = [fault.message for fault in self._loaded.faults] + list(self.settings.faults)
        for text in (*faults, *(f"config.toml: {text}" for text in self._key_faults)):
            log.warning("%s", text)
            self.show_message(text)
        self.set_keymap(self.keys)

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Exit within two seconds, also if a process does not answer."""
        if self.terminal is not None:
            self.terminal.begin_exit(return_code)
        super().exit(result, return_code, message)

    def give_way(self) -> None:
        """End this app alone: another one takes the terminal, and no exit is under way."""
        super().exit()

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

    # Keys

    def get_key_display(self, binding: Binding) -> str:
        """Return a key as it is printed on the keyboard."""
        return keys.show_keys(binding.key)

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Do nothing: a link in text of another program must not start a browser."""

    def action_suspend(self) -> None:
        """Give the terminal to the shell until `fg`, if there is a shell with job control."""
        if self.terminal is not None and self.terminal.can_be_continued():
            self.action_suspend_process()
        else:
            self.show_message("not suspended: no shell with job control could continue it")
