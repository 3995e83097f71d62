"""The dialog that asks for a word.

headline                          what it is about, how many warnings
┌ #confirm ─────────────────┐
│ #choices                  │     only where there is something to choose
│ #subject  (scrolls)       │     what would be changed, effect, warnings
│ #promise, #typed          │     what happens then; the word
└───────────────────────────┘
#details  (scrolls)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Key, Paste
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Footer

from sockmon import format
from sockmon.document import sentence
from sockmon.model.detail import Detail
from sockmon.ui.confirming.typed_word import TypedWord
from sockmon.ui.context import AppContext, app_context
from sockmon.ui.detail.detail_screen import Page
from sockmon.ui.detail.section_facts import GUTTER
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

ANSWER_TIMEOUT = 20.0
"""Seconds without an answer after which the screen can be left."""


class ConfirmScreen(ModalScreen[None]):
    """Modal, so that no key of the app takes a letter of the word; `clock` returns monotonic seconds."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave", show=True, id="back")]
    AUTO_FOCUS = "#details"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-roomy")]  # noqa: RUF012

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._typed = TypedWord()
        self._failure = Text()
        """Why there is nothing to confirm, or why nothing was done."""
        self._sent: float | None = None
        """When the confirmation was sent to the helper; None once it is answered."""

    @property
    def sockmon(self) -> AppContext:
        """The app that this is a screen of."""
        return app_context(self)

    def compose(self) -> ComposeResult:
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        with Vertical(id="confirm"):
            yield from self._above_subject()
            with Page(id="subject"):
                yield LabelledList(GUTTER, id="changes")
            yield LabelledList(id="promise")
            yield LabelledList(id="typed")
        with Page(id="details"):
            yield from self._details()
        yield Footer(show_command_palette=False)

    def answer(self, detail: Detail) -> None:
        """Ignore it: this screen asks the helper alone."""

    # What each of them says and does

    def _above_subject(self) -> Iterable[Widget]:
        return ()

    def _details(self) -> Iterable[Widget]:
        raise NotImplementedError

    def _draw(self) -> None:
        raise NotImplementedError

    def _send(self) -> None:
        """Send the confirmation; the word was typed."""
        raise NotImplementedError

    @property
    def _can_type(self) -> bool:
        """Whether the word can be typed."""
        raise NotImplementedError

    # What they share

    @property
    def _waiting(self) -> bool:
        """Whether the helper has not answered the confirmation yet."""
        return self._sent is not None and self._clock() - self._sent < ANSWER_TIMEOUT

    def _was_drawn(self) -> None:
        self._typed.drawn(self._clock())

    def _draw_prompt(self, promise: Text, typed: Text) -> None:
        self.query_one("#promise", LabelledList).show(Labelled("", promise))
        self.query_one("#typed", LabelledList).show(Labelled("", typed))

    def _draw_in_corner(self, text: Text) -> None:
        corner = self.query_one("#corner", LabelledList)
        corner.display = bool(text.plain)
        corner.styles.width = text.cell_len + 2
        corner.show(Labelled("", text))

    def _outcome_unknown(self, why: str = "") -> Text:
        """Return that the helper was told and did not answer, with `why`, by default how long it is ago."""
        assert self._sent is not None
        why = why or f"no answer for {format.duration(self._clock() - self._sent)}"
        return Text.assemble(("Outcome unknown: ", "sev-hit"), sentence(why))

    def on_key(self, event: Key) -> None:
        """Take the letters of the word before any binding does; no key has an effect while the helper acts."""
        if self._waiting:
            event.stop()
            return
        if self._typed.take(event, self._can_type, self.active_bindings):
            self._send()
        self._draw()

    def on_paste(self, event: Paste) -> None:
        """Reject pasted text."""
        self._typed.paste(event)
        self._draw()

    def action_leave(self) -> None:
        """Return to the screen before."""
        self.dismiss()
