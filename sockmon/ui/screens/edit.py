"""A new value for one tunable, checked with every letter: what is wrong with it, or what it would do."""

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

from sockmon.ceilings.sections import sentence
from sockmon.ui import keys
from sockmon.ui.screens.knobs import Line
from sockmon.ui.staged import Made, value
from sockmon.ui.widgets.changes import arrow
from sockmon.ui.widgets.facts import Fact, Facts

LONGEST = 4000
"""Characters that the line takes; sysctl(8) writes no longer value whole either."""


class Value(Input):
    """A line for a value; what is pasted into it is one line of plain text or nothing."""

    class Rejected(Message):
        """Something was pasted that is no value."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def on_paste(self, event: Paste) -> None:
        """Refuse what would be taken in part."""
        text = event.text.strip(" \t")
        why = ""
        if any(unicodedata.category(char).startswith(("C", "Zl", "Zp")) for char in text):
            why = "the pasted text has a line feed or another control character: nothing was taken"
        elif len(self.value) + len(text) > LONGEST:
            why = f"the pasted text is longer than {LONGEST:,} characters: `sockmon tune plan` takes it"
        if why:
            event.prevent_default()
            event.stop()
            self.post_message(self.Rejected(why))


class EditScreen(ModalScreen["str | None"]):
    """Ends with the value, or with None where it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave it", show=True, id="back"),
        keys.binding("quit.now"),
    ]
    AUTO_FOCUS = "Value"

    def __init__(self, line: Line, check: Callable[[str], Made]) -> None:
        super().__init__()
        self._line = line
        self._check = check

    def compose(self) -> ComposeResult:
        row = self._line.row
        values = (self._line.wanted, self._line.advised, row.current)
        first = next((text for text in values if text is not None), "")
        with Vertical(id="edit") as box:
            box.border_title = Content.assemble((row.key, "bold"), f" · {row.unit}")
            box.border_subtitle = Content("Enter into the plan · Esc leave it")
            yield Facts(10, id="known")
            yield Value(first, max_length=LONGEST)
            yield Facts(id="verdict")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Value).cursor_blink = False
        self.query_one("#known", Facts).show(*self._known())
        self._judge()

    def _known(self) -> Iterator[Fact]:
        row = self._line.row
        yield Fact("Now", Text(value(row.current)))
        yield Fact("Default", Text(row.default))
        if self._line.advised is not None:
            advised = value(self._line.advised)
            yield Fact("Advised", Text.assemble((advised, "sev-warning"), f"  {self._line.reason}"))
        yield Fact("Allowed", Text(row.allowed))

    @on(Input.Changed)
    def _judge(self) -> None:
        self._say(verdict(self.row_key, self._check(self.query_one(Value).value)))

    @on(Value.Rejected)
    def _reject(self, event: Value.Rejected) -> None:
        self._say(Text.assemble(("✖ ", "sev-hit"), event.why))

    def _say(self, text: Text) -> None:
        self.query_one("#verdict", Facts).show(Fact("", text))

    @property
    def row_key(self) -> str:
        """Whose value it is."""
        return self._line.key

    @on(Input.Submitted)
    def action_take(self) -> None:
        """End with what was typed, if it is a value."""
        text = self.query_one(Value).value
        if self._check(text).error is None:
            self.dismiss(text)
        else:
            self.app.bell()

    def action_leave(self) -> None:
        """End without one."""
        self.dismiss(None)


def verdict(key: str, made: Made) -> Text:
    """What is wrong with a value, or what it does in numbers and what to think of."""
    if made.error:
        hint = f"\n{sentence(made.error.hint)}" if made.error.hint else ""
        return Text.assemble(("✖ ", "sev-hit"), made.error.message, (hint, "muted"))
    if made.proposal is None:
        return Text()
    found = next((each for each in made.proposal.previews if each.setting.name == key), None)
    if found is None:
        return Text("That is the value already.", "muted")
    text = Text.assemble(("● ", "sev-ok"), arrow(found.effect))
    for warning in found.warnings:
        text.append_text(Text.assemble("\n", ("▲ ", "sev-warning"), sentence(warning)))
    return text
