"""The filter line: its input, and below it an error or examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label, Static

from sockmon.errors import FilterError
from sockmon.ui.filtering.fields import BY_NAME
from sockmon.ui.filtering.filter import MAX_CHARACTERS, Filter, parse_leniently
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.text_line import TextLine

EXAMPLES = "port:443 port:>8080 src:10.0.0.0/8 proc:nginx !state:LISTEN fds:>1k"
KEYS_WHILE_TYPING, KEYS_WHEN_SET = "Enter keeps · Esc clears", "/ changes · Esc clears"


class FilterLine(Vertical):
    """Hidden until it is opened; `filter` has the valid terms of the input."""

    DEFAULT_CSS = """
    FilterLine { height: auto; display: none; background: $panel; }
    FilterLine.-shown { display: block; }
    FilterLine Horizontal { height: 1; }
    FilterLine Label { width: auto; padding: 0 1; color: $heading; }
    FilterLine Input { border: none; height: 1; padding: 0; background: $panel; width: 1fr; }
    FilterLine Input:focus { border: none; }
    FilterLine #keys { width: 26; padding: 0 1; text-align: right; background: $panel; }
    FilterLine #help { height: auto; max-height: 4; padding: 0 1; background: $panel; }
    FilterLine.-set #help { display: none; }
    """

    @dataclass
    class Changed(Message):
        """The filter changed."""

        filter: Filter

    class Left(Message):
        """The focus returns to the tables."""

    def __init__(self, examples: str = EXAMPLES) -> None:
        super().__init__(id="filter")
        self._examples = examples
        self.filter = Filter()
        self._error: FilterError | None = None

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label("filter", markup=False)
            yield Input(placeholder="fields or any words", select_on_focus=False, max_length=MAX_CHARACTERS)
            yield TextLine(id="keys")
        yield Static("", id="help", markup=False)

    def on_mount(self) -> None:
        self._input.cursor_blink = False

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    @property
    def text(self) -> str:
        """What was typed."""
        return self._input.value

    @property
    def shown(self) -> bool:
        """Whether the line is shown, and can be cleared."""
        return self.has_class("-shown")

    def open(self) -> None:
        """Show the line, and focus its input."""
        self.add_class("-shown")
        self.remove_class("-set")
        self._show_help()
        self._input.focus()

    def set_text(self, text: str) -> None:
        """Set the filter; an empty one hides the line."""
        self._input.value = text
        self.set_class(bool(text), "-shown", "-set")
        self._read(text)

    def clear(self) -> None:
        """Remove the filter, and hide the line."""
        self.set_text("")
        self.post_message(self.Left())

    def on_descendant_focus(self) -> None:
        """Let a filter that was set be changed, also after a click."""
        if self._input.has_focus:
            self.remove_class("-set")
            self._show_help()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._read(event.value)

    def _fields(self) -> Sequence[str]:
        """Return the fields that the tables of this screen have."""
        known = {name for table in self.screen.query(Table) for name in table.listed.fields}
        return [name for name in BY_NAME if name in known]

    def _read(self, text: str) -> None:
        found, self._error = parse_leniently(text, self._fields())
        if found != self.filter:
            self.filter = found
            self.post_message(self.Changed(found))
        self._show_help()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._error is not None:
            self._error.unfinished = False
            self._show_help()
        elif event.value.strip():
            self.set_text(event.value)
            self.post_message(self.Left())
        else:
            self.clear()

    def _show_help(self) -> None:
        keys = KEYS_WHEN_SET if self.has_class("-set") else KEYS_WHILE_TYPING
        self.query_one("#keys", TextLine).show(Text(keys, "muted"))
        self.query_one("#help", Static).update(self._help())

    def _help(self) -> Text:
        if self._error is None:
            return Text(self._examples, "muted")
        style = "muted" if self._error.unfinished else "sev-hit"
        hint = f"\n{self._error.hint}" if self._error.hint else ""
        return Text.assemble((self._error.message, style), (hint, "muted"))
