"""The help: the keys in force, the glyphs, how to read the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import ModalScreen

from sockmon.ui import keys
from sockmon.ui.screens.drill import Page
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.facts import Fact, Facts

MEANING = {
    "ok": "far from the limit",
    "warning": "filling up, or full within 30 minutes (and half full already)",
    "critical": "nearly full, or full within 5 minutes",
    "hit": "the limit has been met: it is full, or a counter of failures moved in the last minute",
    "unknown": "could not be read; the reason stands beside it",
}
ALIGNED = 92
"""Columns of a terminal from which on there is room to align the ids."""
READING = (
    "The board ranks every limit by urgency: the top line is what fails first.",
    "LEFT is the time until the limit at the present RATE; — where nothing grows.",
    "USED / LIMIT are the kernel's own numbers; the limit is the one in force.",
    "? is not 0: what could not be read is never shown as a number.",
    "Enter on any row goes deeper: why, who, and what to do. Esc comes back.",
    "HOLD: a change goes back by itself unless it is kept in time, also when this screen dies.",
    "Parts that need a dump of all sockets are read less often: their age is said.",
)


class HelpScreen(ModalScreen[None]):
    """One page; Esc leaves."""

    CSS: ClassVar[str] = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen:ansi { background: ansi_default; }
    #help { width: 92; max-width: 100%; height: auto; max-height: 100%; border: round $pane-focus;
            border-title-color: $accent; background: $surface; padding: 0 2; scrollbar-size-vertical: 1; }
    """

    # A modal screen hides the app's keys; these lead out of it.
    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in keys.bindings("app") if binding.id in ("back", "help", "quit", "quit.now")
    ]

    def __init__(self, chosen: Mapping[str, str], read_only: bool = False) -> None:
        super().__init__()
        self._keys = chosen
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        page = Page(Facts(id="words"), id="help")
        page.border_title = Content.assemble(("sockmon", "bold"), " · help")
        page.border_subtitle = Content("Esc back")
        yield page

    def on_mount(self) -> None:
        self.query_one("#help").focus()
        self.query_one(Facts).show(*self._page())

    def _page(self) -> Iterator[Fact]:
        yield _heading("how to read it")
        yield from (_hanging(Text(line), 2) for line in READING)
        yield Fact("", Text())
        yield _heading("severity")
        yield from _legend()
        yield from self._actions()
        change = Text.assemble(("Keys can be changed: ", "muted"), '[keys] "pane.ports" = "f3" in config.toml')
        yield _hanging(change, 2)

    def _actions(self) -> Iterator[Fact]:
        group = ""
        for action in keys.ACTIONS:
            if action.writes and self._read_only:
                continue
            if action.group != group:
                group = action.group
                yield Fact("", Text())
                yield _heading(group)
            tip = action.tooltip.ljust(40) if self.app.size.width >= ALIGNED else f"{action.tooltip}  "
            line = Text.assemble(
                (keys.show_keys(self._keys[action.id]).ljust(11), "strong"),
                action.description.ljust(15),
                (tip, "muted"),
                (action.id, "faint"),
            )
            yield _hanging(line, 26)
        yield Fact("", Text())


def _heading(words: str) -> Fact:
    return Fact("", Text(words.upper(), "heading"))


def _hanging(line: Text, indent: int) -> Fact:
    """A line that goes on under its own text where the terminal is narrow."""
    return Fact("", Text.assemble("  ", line), hang=indent + 2)


def _legend() -> Iterator[Fact]:
    shares = {"ok": 0.23, "warning": 0.82, "critical": 0.95, "hit": 1.0, "unknown": None}
    for severity, look in LOOKS.items():
        label = f"{look.glyph} {look.word}".ljust(11)
        line = Text.assemble(
            (label, look.style), bar(shares[severity], 12, severity), "  ", (MEANING[severity], "muted")
        )
        yield _hanging(line, 25)
