"""An app that sends only the cells that changed, and skips frames that a slow line could not take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from rich.console import RenderableType
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.actions import ActionParseResult
from textual.app import App
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.screen import Screen

from sockmon.ui.appearance.ascii_filter import AsciiFilter, terminal_lacks_glyphs
from sockmon.ui.driver import SockmonDriver, Terminal
from sockmon.ui.key_queue import KeyPassed, KeyQueue
from sockmon.ui.painter import Painter, RenderedFrame


class PaintedApp(App[None]):
    """The drawing of the app: driver, line filters, what goes to the terminal, and keys only for what is drawn."""

    terminal: Terminal | None = None

    def __init__(self, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._ascii_filter = AsciiFilter(terminal_lacks_glyphs())
        self._frame_skipped = False
        self._painter = Painter()
        self._keys = KeyQueue(self, super().on_event)

    @property
    def keys_waiting(self) -> int:
        """How many keys wait for the one before them."""
        return len(self._keys)

    async def on_event(self, event: events.Event) -> None:
        """Give out keys one after the other."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._keys.take(event)
        else:
            await super().on_event(event)

    async def on_key_passed(self, mark: KeyPassed) -> None:
        """Give out the next key."""
        await self._keys.passed(mark)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Run the action of a key; one that comes before a new screen is composed is dropped."""
        if self.screen_stack and not self.screen.is_mounted:
            return False
        return await super().run_action(action, default_namespace, namespaces)

    def get_driver_class(self) -> type[Driver]:
        """Return our driver where Textual would take its own for a terminal of Linux."""
        found = super().get_driver_class()
        return SockmonDriver if found is LinuxDriver else found

    def get_line_filters(self) -> list[LineFilter]:
        """Return Textual's filters, and ours for terminals without block characters."""
        return [*super().get_line_filters(), *([self._ascii_filter] if self._ascii_filter.enabled else [])]

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if self._batch_count and renderable is not None:
            self._frame_skipped = True
        elif isinstance(renderable, (LayoutUpdate, ChopsUpdate)) and not self.is_headless:
            if text := self._painter.paint(renderable, self.console, self.size):
                super()._display(screen, cast(RenderableType, RenderedFrame(text)))
            return
        super()._display(screen, renderable)

    def draw_all(self) -> None:
        """Send every cell, whatever the terminal shows."""
        self._painter.forget()
        self.screen.refresh()

    def draw_skipped_frame(self) -> None:
        """Draw what changed while the line was still sending the last frame; all of it if parts were dropped."""
        if not self.screen_stack:
            return
        if self._frame_skipped:
            self._frame_skipped = False
            self.screen.refresh()
        self.screen.check_idle()
