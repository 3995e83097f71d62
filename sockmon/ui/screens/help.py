"""The help: the keys in force, the glyphs, how to read the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sockmon.ui import keys
from sockmon.ui.screens.drill import Page
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar

MEANING = {
    "ok": "far from the limit",
    "warning": "getting near, or will be within the hour",
    "critical": "almost there, or minutes away",
    "hit": "the limit has been met: something was refused",
    "unknown": "could not be read; the reason stands beside it",
}
READING = (
    "The board ranks every limit by urgency: the top line is what fails first.",
    "LEFT is the time until the limit at the present RATE; — where nothing grows.",
    "USED / LIMIT are the kernel's own numbers; the limit is the one in force.",
    "? is not 0: what could not be read is never shown as a number.",
    "Enter on any row goes deeper: why, who, and what to do. Esc comes back.",
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

    def __init__(self, chosen: Mapping[str, str]) -> None:
        super().__init__()
        self._keys = chosen

    def compose(self) -> ComposeResult:
        page = Page(Static(self._page(), markup=False), id="help")
        page.border_title = Content.assemble(("sockmon", "bold"), " · help")
        page.border_subtitle = Content("Esc back")
        yield page

    def on_mount(self) -> None:
        self.query_one("#help").focus()

    def _page(self) -> Text:
        parts = [Text("HOW TO READ IT", "heading"), *(Text(f"  {line}") for line in READING), Text()]
        parts += [Text("SEVERITY", "heading"), *_legend(), *self._actions()]
        parts.append(
            Text.assemble(("  Keys can be changed: ", "muted"), '[keys] "pane.ports" = "3" in config.toml')
        )
        return Text("\n").join(parts)

    def _actions(self) -> Iterator[Text]:
        group = ""
        for action in keys.ACTIONS:
            if action.group != group:
                group = action.group
                yield Text()
                yield Text(group.upper(), "heading")
            yield Text.assemble(
                "  ",
                (keys.show_keys(self._keys[action.id]).ljust(11), "strong"),
                action.description.ljust(15),
                (action.tooltip.ljust(40), "muted"),
                (action.id, "faint"),
            )
        yield Text()


def _legend() -> Iterator[Text]:
    shares = {"ok": 0.23, "warning": 0.82, "critical": 0.95, "hit": 1.0, "unknown": None}
    for severity, look in LOOKS.items():
        label = f"{look.glyph} {look.word}".ljust(11)
        yield Text.assemble(
            "  ", (label, look.style), bar(shares[severity], 12, severity), "  ", (MEANING[severity], "muted")
        )
