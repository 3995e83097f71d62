"""The help: how to read the screen, the symbols, and the keys in force."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import ModalScreen

from sockmon.ceilings import BY_ID
from sockmon.ui import keys
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.common_keys import EVERYWHERE, IN_A_LINE, IN_THE_PALETTE, CommonKeys
from sockmon.ui.detail.detail_screen import Page
from sockmon.ui.filtering import fields
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

SEVERITY_MEANINGS = {
    "ok": "below the warning level",
    "warning": "above the warning level, or full soon at this rate",
    "critical": "above the critical level, or full in minutes",
    "hit": "the limit is reached, or a failure counter increased",
    "unknown": "could not be read; the reason is shown",
}
LEVELS = BY_ID["process-fds"].levels
ALIGNED_COLUMNS = 92
"""Columns of a terminal from which on the ids are aligned."""
HOW_TO_READ = (
    "The board ranks all limits by urgency: the top line is the limit that is hit first.",
    "USED / LIMIT are the kernel's numbers; the limit is the one in force.",
    "USAGE: marks on the bar show where warning and critical begin.",
    "CHANGE: new is an alarm of the last minute, known one that was unknown before; worse: usage grows.",
    "✔ ack: an alarm that you have acknowledged: dimmed and not counted until it gets worse or ends.",
    "LEFT is the time to the limit at the current RATE; — if usage does not grow.",
    "? means unknown; what could not be read is never shown as 0.",
    "5 Namespaces: on a host with several, each with the limit that it is nearest to; ≤ is an upper bound.",
    "Enter there lets the other panes show that namespace alone, Esc all again. The board is always of all.",
    "Enter opens a row: cause, owners and remedies. Esc returns.",
    "+5› or ‹2 in a heading: hidden columns on that side. ← → scroll, s sorts by the next column.",
    "PENDING: a change is rolled back unless you keep it, even if this screen is killed.",
    "What needs a dump of all sockets is read less often; its age is shown.",
)


class HelpTopics(NamedTuple):
    """What a screen's help is about."""

    how_to_read: Sequence[str] = HOW_TO_READ
    actions: Sequence[keys.Action] = keys.ACTIONS
    fields: Collection[str] = tuple(fields.BY_NAME)
    """Those of the filter."""


EVERYTHING = HelpTopics()


class HelpScreen(ModalScreen[None]):
    """One page; Esc closes it."""

    CSS: ClassVar[str] = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen:ansi { background: ansi_default; }
    #help { width: 92; max-width: 100%; height: auto; max-height: 100%; border: round $pane-focus;
            border-title-color: $accent; background: $surface; padding: 0 2; scrollbar-size-vertical: 1; }
    """

    # A modal screen hides the keys of the app; these close it.
    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in keys.bindings("app") if binding.id in ("back", "help", "quit", "quit.now")
    ]

    def __init__(
        self,
        chosen: Mapping[str, str],
        read_only: bool = False,
        first: Mapping[str, str] | None = None,
        topics: HelpTopics = EVERYTHING,
    ) -> None:
        """`first`: what keys do on the screen below, by the id of the action; the page begins with them."""
        super().__init__()
        self._first = first or {}
        self._topics = topics
        self._keys = chosen
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        page = Page(LabelledList(id="words"), id="help")
        page.border_title = Content.assemble(("sockmon", "bold"), " · help")
        page.border_subtitle = Content("Esc back")
        yield page

    def on_mount(self) -> None:
        self.query_one("#help").focus()
        self.query_one(LabelledList).show(*self._page())

    def _page(self) -> Iterator[Labelled]:
        if self._first:
            yield _heading("on this screen")
            for action_id, does in self._first.items():
                yield _indented(Text.assemble((self._shown_keys(action_id), "strong"), does), 13)
            yield Labelled("", Text())
        yield _heading("how to read the screen")
        yield from (_indented(Text(line), 2) for line in self._topics.how_to_read)
        yield Labelled("", Text())
        yield _heading("severity")
        yield from _severity_legend()
        yield from self._actions()
        yield from _filter(self._topics.fields)
        change = Text.assemble(("Keys can be changed: ", "muted"), '[keys] "pane.ports" = "f3" in config.toml')
        yield _indented(change, 2)

    def _shown_keys(self, action_id: str) -> str:
        return keys.show_keys(self._keys[action_id]).ljust(11)

    def _actions(self) -> Iterator[Labelled]:
        group = ""
        for action in self._topics.actions:
            if action.writes and self._read_only:
                continue
            if action.group != group:
                group = action.group
                yield Labelled("", Text())
                yield _heading(group)
            tip = action.tooltip.ljust(40) if self.app.size.width >= ALIGNED_COLUMNS else f"{action.tooltip}  "
            line = Text.assemble(
                (self._shown_keys(action.id), "strong"),
                action.description.ljust(15),
                (tip, "muted"),
                (action.id, "faint"),
            )
            yield _indented(line, 26)
        yield Labelled("", Text())
        yield from _common("in every table and page", EVERYWHERE)
        yield from _common("in a line of text", IN_A_LINE)
        yield from _common("in the list of commands", IN_THE_PALETTE)


def _common(title: str, listed: Sequence[CommonKeys]) -> Iterator[Labelled]:
    """Yield keys that cannot be configured."""
    yield _heading(title)
    for each in listed:
        yield _indented(Text.assemble((keys.show_keys(each.keys), "strong"), "  ", (each.description, "muted")), 4)
    yield Labelled("", Text())


def _filter(known: Collection[str]) -> Iterator[Labelled]:
    """Yield the syntax and the fields of the filter."""
    yield _heading("filter")
    yield _indented(Text("All terms must match. A table without a field ignores its terms and shows that."), 2)
    for example, meaning in fields.SYNTAX:
        yield _indented(Text.assemble((f"{example:<20} ", "strong"), (meaning, "muted")), 23)
    yield Labelled("", Text())
    yield _heading("fields of the filter")
    for name, meaning in fields.descriptions():
        if name not in known:
            continue
        yield _indented(Text.assemble((f"{name:<11}", "strong"), (meaning, "muted")), 13)
    yield Labelled("", Text())


def _heading(words: str) -> Labelled:
    return Labelled("", Text(words.upper(), "heading"))


def _indented(line: Text, indent: int) -> Labelled:
    """Return a line that continues under its own text on a narrow terminal."""
    return Labelled("", Text.assemble("  ", line), indent=indent + 2)


def _severity_legend() -> Iterator[Labelled]:
    shares = {"ok": 0.23, "warning": 0.82, "critical": 0.95, "hit": 1.0, "unknown": None}
    for severity, style in SEVERITY_STYLES.items():
        label = f"{style.glyph} {style.word}".ljust(11)
        line = Text.assemble(
            (label, style.style),
            bar(shares[severity], 12, severity, LEVELS),
            "  ",
            (SEVERITY_MEANINGS[severity], "muted"),
        )
        yield _indented(line, 25)
