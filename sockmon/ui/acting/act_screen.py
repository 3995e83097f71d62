"""The dialog of an action: what it acts on, that there is no way back, the commands, and the word to type."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment
from sockmon.document import sentence
from sockmon.model.acting import (
    NO_WAY_BACK,
    Action,
    CarryOutAction,
    PrepareAction,
    PreparedAction,
    SignalProcess,
    action_text,
)
from sockmon.model.helper_protocol import ActionResult, Answer, RequestFailed
from sockmon.model.transaction import Transaction
from sockmon.text import sanitize
from sockmon.ui import keys
from sockmon.ui.acting.choices import Choice
from sockmon.ui.confirming.confirm_screen import ConfirmScreen
from sockmon.ui.confirming.typed_word import TypedWord
from sockmon.ui.detail.section_facts import GUTTER
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

MAX_CHARACTERS = 2000
UNSENT = "the helper process is not running"


class ActScreen(ConfirmScreen):
    """`clock` returns monotonic seconds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys.BY_ID["columns.left"].keys, "choose(-1)", "Choose", show=True, id="columns.left"),
        Binding(keys.BY_ID["columns.right"].keys, "choose(1)", "Choose", show=True, id="columns.right"),
        keys.binding("quit.now"),
    ]

    def __init__(
        self,
        choices: Sequence[Choice],
        names: Mapping[int, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`names`: those of the network namespaces by inode, if there are several."""
        super().__init__(clock)
        self._choices = tuple(choices)
        self._names = names or {}
        self._at = 0
        self._shown: PreparedAction | None = None
        """What the word would confirm; None until the helper has found it."""
        self._asked: deque[Action | None] = deque()
        """The requests without an answer, in their order; None is a confirmation."""
        self._done: Transaction | None = None

    def _above_subject(self) -> Iterable[Widget]:
        return (LabelledList(GUTTER, id="choices"),)

    def _details(self) -> Iterable[Widget]:
        return (LabelledList(GUTTER, id="rows"),)

    def on_mount(self) -> None:
        self._prepare()
        self._draw()
        self.set_interval(1.0, self._draw)

    # The helper

    def _prepare(self) -> None:
        """Ask the helper what the chosen action would act on."""
        self._shown, self._failure = None, Text()
        action = self._choices[self._at].action
        if why := self.sockmon.cannot_act:
            self._failure = Text(sentence(why), "sev-warning")
        elif self.sockmon.ask_helper(PrepareAction(action)):
            self._asked.append(action)
        else:
            self._failure = Text(sentence(UNSENT), "sev-warning")

    def on_helper_answer(self, answer: Answer) -> None:
        """Take what the helper has found or done."""
        if not isinstance(answer, PreparedAction | ActionResult | RequestFailed) or not self._asked:
            return
        asked = self._asked.popleft()
        if isinstance(answer, ActionResult):
            self._sent, self._done = None, answer.transaction
        elif asked is None and isinstance(answer, RequestFailed):
            self._sent = None
            self._fail("Nothing was done: ", answer)
        elif asked == self._choices[self._at].action and not self._asked:
            if isinstance(answer, RequestFailed):
                self._fail("", answer)
            else:
                self._shown, self._typed = answer, TypedWord(answer.word or "-")
                self.call_after_refresh(self._was_drawn)
        self._draw()

    def _fail(self, what: str, failed: RequestFailed) -> None:
        hint = f" {sentence(failed.hint)}" if failed.hint else ""
        words = sanitize(f"{sentence(failed.message)}{hint}", MAX_CHARACTERS)
        self._failure = Text.assemble((what, "sev-hit"), (words, "sev-warning"))

    # What is shown

    def show(self, assessment: Assessment) -> None:
        """Draw nothing: what was shown must stay until it is confirmed."""

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        shown = self._shown
        title = shown.title if shown else "Close, delete or signal"
        self.query_one("#title", LabelledList).show(Labelled("", Text(sanitize(title), "heading")))
        warnings = len(shown.warnings) if shown else 0
        text = f"▲ {format.plural(warnings, 'warning')}" if warnings else ""
        self._draw_in_corner(Text(text, "sev-warning", justify="right"))
        choices = self.query_one("#choices", LabelledList)
        choices.display = len(self._choices) > 1
        choices.show(Labelled("Choose ←→", self._choice_row()))
        self.query_one("#changes", LabelledList).show(*self._subject())
        self.query_one("#rows", LabelledList).show(*self._rows())
        self._draw_prompt(*self._prompt())

    def _choice_row(self) -> Text:
        parts = [
            Text(f"[{each.name}]" if at == self._at else each.name, "strong" if at == self._at else "muted")
            for at, each in enumerate(self._choices)
        ]
        return Text("  ").join(parts)

    def _subject(self) -> Iterator[Labelled]:
        shown = self._shown
        if shown is None:
            return
        if not isinstance(shown.action, SignalProcess) and (name := self._names.get(shown.action.netns)):
            yield Labelled("In", Text(name, "strong"), 2)
        labelled = (
            ("What", shown.facts, ""),
            ("Effect", shown.effects, ""),
            ("Warning", shown.warnings, "sev-warning"),
            ("Left out", shown.left_out, "muted"),
        )
        for name, lines, style in labelled:
            for number, line in enumerate(lines):
                yield Labelled("" if number else name, Text(sanitize(line, MAX_CHARACTERS), style), 2)

    def _rows(self) -> Iterator[Labelled]:
        shown = self._shown
        if shown is None:
            return
        for number, line in enumerate(shown.rows):
            name = "" if number else "The first" if shown.count > len(shown.rows) else "All"
            yield Labelled(name, Text(sanitize(line, MAX_CHARACTERS)), 2)
        for number, line in enumerate(shown.commands):
            yield Labelled("" if number else "By hand", Text(sanitize(line, MAX_CHARACTERS), "muted"), 2)

    def _prompt(self) -> tuple[Text, Text]:
        """Return what happens, and what to do now."""
        leave = Text("Esc leaves.", "muted")
        if self._done is not None:
            return _result_text(self._done), Text("It is in the history. Esc leaves.", "muted")
        if self._sent is not None:
            if self._waiting:
                return Text("Acting …", "accent"), Text("Keys have no effect until it is done.", "muted")
            return self._outcome_unknown(), Text("See `sockmon tune history`. Esc leaves.", "muted")
        if self._failure.plain:
            return self._failure, leave
        if self._shown is None:
            return Text("looking …", "accent"), leave
        if self._shown.refused:
            why = sentence(sanitize(self._shown.refused, MAX_CHARACTERS))
            hint = "The command above does it by hand. Esc leaves." if self._shown.commands else "Esc leaves."
            return Text.assemble(("Refused: ", "sev-warning"), why), Text(hint, "muted")
        return Text(NO_WAY_BACK, "sev-warning"), self._typed.prompt()

    # Keys

    @property
    def _can_type(self) -> bool:
        shown = self._shown
        return bool(shown and shown.word and not self._failure.plain) and self._sent is None and self._done is None

    def _send(self) -> None:
        shown = self._shown
        assert shown is not None
        if self.sockmon.ask_helper(CarryOutAction(shown.token, shown.count, shown.word)):
            self._asked.append(None)
            self._sent = self._clock()
        else:
            self._failure = Text(f"Nothing was done: {UNSENT}.", "sev-warning")

    def action_choose(self, step: int) -> None:
        """Choose the next action, and look what it would act on."""
        if self._done is None and self._sent is None and len(self._choices) > 1:
            self._at = min(max(self._at + step, 0), len(self._choices) - 1)
            self._prepare()
            self._draw()


def _result_text(done: Transaction) -> Text:
    """Return what was done, and what was not."""
    what = sanitize(action_text(done.action), MAX_CHARACTERS) if done.action else ""
    glyph = Text("● ", "sev-ok") if done.state == "done" else Text("✖ Nothing was done: ", "sev-hit")
    messages = " ".join(sentence(sanitize(each, MAX_CHARACTERS)) for each in done.messages)
    return Text.assemble(glyph, sentence(what), f" {messages}" if messages else "")
