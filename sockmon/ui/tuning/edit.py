"""The editor of one value: with every letter it shows what is wrong with the value, or its effect."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Paste
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Footer, Input

from sockmon.document import sentence
from sockmon.tuning.planning.draft import DraftResult
from sockmon.tuning.planning.proposal_pages import format_value
from sockmon.ui import keys
from sockmon.ui.tuning.panel_rows import PanelRow
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

MAX_VALUE_CHARACTERS = 4000
"""Characters of a value; sysctl(8) cannot write a longer one in one piece either."""


class ValueInput(Input):
    """The input of a value; it takes a paste of one line of plain text only."""

    class Rejected(Message):
        """A paste was rejected."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def on_paste(self, event: Paste) -> None:
        """Reject a paste that could only be taken in part."""
        text = event.text.strip(" \t")
        why = ""
        if any(unicodedata.category(char).startswith(("C", "Zl", "Zp")) for char in text):
            why = "not pasted: the text has a line break or another control character"
        elif len(self.value) + len(text) > MAX_VALUE_CHARACTERS:
            why = f"not pasted: over {MAX_VALUE_CHARACTERS:,} characters; use `sockmon tune plan`"
        if why:
            event.prevent_default()
            event.stop()
            self.post_message(self.Rejected(why))


class EditScreen(ModalScreen["str | None"]):
    """Returns the value, or None if it was cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=True, id="back"),
        keys.binding("quit.now"),
    ]
    AUTO_FOCUS = "ValueInput"

    def __init__(self, line: PanelRow, check: Callable[[str], DraftResult]) -> None:
        super().__init__()
        self._row = line
        self._check = check

    def compose(self) -> ComposeResult:
        row = self._row.row
        values = (self._row.planned, self._row.advised, row.current)
        first = next((text for text in values if text is not None), "")
        with Vertical(id="edit") as box:
            box.border_title = Content.assemble((row.key, "bold"), f" · {row.unit}")
            box.border_subtitle = Content("Enter: add to plan · Esc: cancel")
            yield LabelledList(10, id="known")
            yield ValueInput(first, max_length=MAX_VALUE_CHARACTERS)
            yield LabelledList(id="verdict")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(ValueInput).cursor_blink = False
        self.query_one("#known", LabelledList).show(*self._known())
        self._check_value()

    def _known(self) -> Iterator[Labelled]:
        row = self._row.row
        yield Labelled("Now", Text(format_value(row.current)))
        yield Labelled("Default", Text(row.default))
        if self._row.advised is not None:
            advised = format_value(self._row.advised)
            yield Labelled("Advised", Text.assemble((advised, "sev-warning"), f"  {self._row.reason}"))
        yield Labelled("Allowed", Text(row.allowed))

    @on(Input.Changed)
    def _check_value(self) -> None:
        self._show_verdict(verdict(self.key, self._check(self.query_one(ValueInput).value)))

    @on(ValueInput.Rejected)
    def _reject(self, event: ValueInput.Rejected) -> None:
        self._show_verdict(Text.assemble(("✖ ", "sev-hit"), event.why))

    def _show_verdict(self, text: Text) -> None:
        self.query_one("#verdict", LabelledList).show(Labelled("", text))

    @property
    def key(self) -> str:
        """The key of the setting."""
        return self._row.key

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Return the typed value if it is valid."""
        text = self.query_one(ValueInput).value
        if self._check(text).error is None:
            self.dismiss(text)
        else:
            self.app.bell()

    def action_leave(self) -> None:
        """Return no value."""
        self.dismiss(None)


def verdict(key: str, made: DraftResult) -> Text:
    """Return what is wrong with a value, or its effect in numbers and its warnings."""
    if made.error:
        hint = f"\n{sentence(made.error.hint)}" if made.error.hint else ""
        return Text.assemble(("✖ ", "sev-hit"), made.error.message, (hint, "muted"))
    if made.proposal is None:
        return Text()
    found = next((each for each in made.proposal.previews if each.setting.name == key), None)
    if found is None:
        return Text("Already set to this value.", "muted")
    text = Text.assemble(("● ", "sev-ok"), found.effect)
    for warning in found.warnings:
        mark = ("◆ ", "sev-critical") if warning.severe else ("▲ ", "sev-warning")
        text.append_text(Text.assemble("\n", mark, sentence(warning.text)))
    return text
