"""A question with one line of text as the answer: the number of a guide, the file of a summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Input

from sockmon.explain.plateaus import parse
from sockmon.guides import Guide
from sockmon.text import sanitize
from sockmon.ui import keys
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

MAX_CHARACTERS = 1000


class PromptScreen(ModalScreen["str | None"]):
    """Returns the text, or None if it was cancelled; `fault` returns what is wrong with a text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=True, id="back"),
        keys.binding("quit.now"),
    ]
    AUTO_FOCUS = "Input"

    def __init__(
        self, title: str, question: str, example: str, fault: Callable[[str], str], value: str = ""
    ) -> None:
        super().__init__()
        self._title, self._question, self._example, self._value = title, question, example, value
        self._fault = fault

    def compose(self) -> ComposeResult:
        with Vertical(id="prompt") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = Content("Enter: go on · Esc: cancel")
            yield LabelledList(id="question")
            yield Input(self._value, placeholder=self._example, max_length=MAX_CHARACTERS, select_on_focus=False)
            yield LabelledList(id="fault")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self.query_one("#question", LabelledList).show(Labelled("", Text(self._question)))

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        why = self._fault(event.value)
        text = Text.assemble(("✖ ", "sev-hit"), sanitize(why, MAX_CHARACTERS)) if why else Text()
        self.query_one("#fault", LabelledList).show(Labelled("", text))

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        if self._fault(event.value):
            self.app.bell()
        else:
            self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Return no text."""
        self.dismiss(None)


def number_fault(guide: Guide, text: str) -> str:
    """Return what is wrong with the number that a guide asks for; it may be left out."""
    return "" if not text.strip() or parse(text) else f"not a number such as {guide.shown_examples}"


def path_fault(text: str) -> str:
    """Return what is wrong with the name of a new file."""
    if not text.strip():
        return "the name of a file is missing"
    return "" if text.isprintable() else "the name has a control character"
