"""The line above the settings in which words of a key or of its description narrow the table."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label

from sockmon.tuning.planning.naming import dotted
from sockmon.ui.filtering.filter import MAX_CHARACTERS


class WordInput(Input):
    """The words; Esc clears them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "screen.all", "All", show=True, id="back")]


class WordFilter(Horizontal):
    """Hidden until it is opened."""

    def compose(self) -> ComposeResult:
        yield Label("filter", markup=False)
        yield WordInput(
            placeholder="words of a key or of its description",
            select_on_focus=False,
            max_length=MAX_CHARACTERS,
        )

    def on_mount(self) -> None:
        self._input.cursor_blink = False

    @property
    def _input(self) -> WordInput:
        return self.query_one(WordInput)

    @property
    def text(self) -> str:
        """What was typed."""
        return self._input.value.strip()

    @property
    def words(self) -> list[str]:
        """The words, in lower case. A path, as /proc/sys/net/core/somaxconn, is another way to write a key."""
        return [dotted(word) if "/" in word else word for word in self.text.casefold().split()]

    def open(self) -> None:
        """Show it, and focus it."""
        self.add_class("-shown")
        self._input.focus()

    def clear(self) -> None:
        """Remove the words, and hide it."""
        self._input.value = ""
        self.remove_class("-shown")
