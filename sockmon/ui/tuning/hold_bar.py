"""The hold bar: above the footer of every screen while a change is pending, and until its outcome was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Input

from sockmon.ui.tuning import hold_text
from sockmon.ui.tuning.held_change import HeldChange
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.text_line import TextLine, justify

STATE_CLASSES = ("-held", "-urgent", "-good", "-bad", "-note")
MAX_REMARKS = 4
"""Messages that the bar has room for."""


class HoldBar(Widget):
    """Takes no focus and no click: only keys decide. Docked above the footer, it is never cut."""

    DEFAULT_CSS: ClassVar[str] = """
    HoldBar { dock: bottom; margin: 0 0 1 0; layout: vertical; height: auto; display: none; }
    HoldBar { background: $panel; color: $foreground; }
    HoldBar.-shown { display: block; }
    HoldBar #hold-line { text-style: bold; }
    HoldBar #hold-left, HoldBar #hold-outcome { display: none; }
    HoldBar.-reasons #hold-outcome { display: block; }
    HoldBar #hold-more { padding: 0 1; }
    HoldBar.-held #hold-left, HoldBar.-urgent #hold-left { display: block; }
    HoldBar.-held #hold-line { background: $warning; color: $background; }
    HoldBar.-held #hold-left { color: $warning; }
    HoldBar.-urgent #hold-line { background: $error; color: $background; }
    HoldBar.-urgent #hold-left { color: $error; text-style: bold; }
    HoldBar.-good #hold-line { background: $success; color: $background; }
    HoldBar.-bad #hold-line { background: $error; color: $background; }
    HoldBar.-note #hold-line { background: $banner-background; color: $banner-foreground; }
    HoldBar.-held:ansi #hold-line { background: ansi_default; color: $warning; text-style: bold reverse; }
    HoldBar.-good:ansi #hold-line { background: ansi_default; color: $success; text-style: bold reverse; }
    HoldBar.-urgent:ansi #hold-line, HoldBar.-bad:ansi #hold-line {
        background: ansi_default; color: $error; text-style: bold reverse;
    }
    """

    def __init__(self, hold: HeldChange, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._hold = hold
        self._keys = keys

    def compose(self) -> ComposeResult:
        yield TextLine(id="hold-line")
        yield TextLine(id="hold-left")
        yield TextLine(id="hold-outcome")
        yield LabelledList(id="hold-more")

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Show the state; only lines that differ are drawn."""
        if not self.query("#hold-more"):
            # Its lines are not mounted yet.
            return
        hold, width = self._hold, self.size.width or self.app.size.width
        state, line, left, more, asked = "", Text(), Text(), list[str](), list[Text]()
        outcome = hold_text.outcome_now(hold, width)
        if hold.pending:
            state = "-urgent" if hold.urgent else "-held"
            typing = isinstance(self.app.focused, Input)
            line = hold_text.pending_line(hold, self._keys, width, typing)
            left = hold_text.countdown_line(hold, width)
            more = hold_text.remarks(hold)
            asked = list(hold_text.persist_question(hold, self._keys))
        elif hold.ended or hold.lost_id:
            state = "-bad" if hold.failed_end else "-good"
            line, more = hold_text.outcome_line(hold, width)
        elif hold.has_notes:
            state = "-note"
            first, *rest = hold_text.note_lines(hold)
            line = justify(Text(f" {first}"), Text("Esc hides "), width)
            more = [f"and {len(rest)} more: sockmon tune verify"] if rest else []
        self._set_state_class(state)
        self.query_one("#hold-line", TextLine).show(line)
        self.query_one("#hold-left", TextLine).show(left)
        self.set_class(bool(outcome.plain), "-reasons")
        self.query_one("#hold-outcome", TextLine).show(outcome)
        self._show_remarks(more, asked)

    def _set_state_class(self, state: str) -> None:
        self.set_class(bool(state), "-shown")
        for each in STATE_CLASSES:
            self.set_class(each == state, each)

    def _show_remarks(self, more: list[str], asked: list[Text]) -> None:
        kept = more[-MAX_REMARKS:]
        if len(kept) < len(more):
            kept[0] = f"{len(more) - MAX_REMARKS + 1} earlier messages: sockmon tune history"
        facts = self.query_one("#hold-more", LabelledList)
        facts.display = bool(kept or asked)
        facts.show(*(Labelled("", line, indent=2) for line in asked), *(Labelled("", Text(line)) for line in kept))
