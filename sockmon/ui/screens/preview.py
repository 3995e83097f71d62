"""A plan before it is done: what it does, what stays, what it is after a restart; and the word that does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Key, Paste
from textual.screen import ModalScreen
from textual.widgets import Footer

from sockmon import format
from sockmon.assess import Assessment
from sockmon.ceilings.sections import sentence
from sockmon.model.change import Proposal, Transaction
from sockmon.model.desk import Answer, Apply, Failed, Standing, Told
from sockmon.model.detail import Detail
from sockmon.tuning.proposal import pages
from sockmon.ui import keys
from sockmon.ui.screens.drill import Page
from sockmon.ui.typed import WORD, WRONG, Typed
from sockmon.ui.widgets.changes import Change, as_root, by_hand, glance
from sockmon.ui.widgets.facts import Fact, Facts

if TYPE_CHECKING:
    from sockmon.ui.app import SockmonApp

HOLDS = (10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds that a change may be held, to choose from."""
USUAL = 60
PATIENCE = 20.0
"""Seconds without an answer after which one may leave."""
ENTER = "Enter does nothing here"
GONE_WRONG = ("conflict", "stuck")


class PreviewScreen(ModalScreen[None]):
    """Modal, so that no key of the app takes a letter of the word; `clock` counts monotonic seconds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=True, id="back"),
        Binding(keys.BY_ID["faster"].keys, "hold(-1)", "Hold shorter", show=True, id="faster"),
        Binding(keys.BY_ID["slower"].keys, "hold(1)", "Hold longer", show=True, key_display="+", id="slower"),
        keys.binding("quit.now"),
    ]
    AUTO_FOCUS = "Page"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012

    def __init__(self, proposal: Proposal, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.proposal = proposal
        self._clock = clock
        self._typed = Typed()
        self._hold = USUAL
        self._host = ""
        self._sent: float | None = None
        """When the plan was sent to the desk, while there is no answer."""
        self._refused = Text()
        """Why it came to nothing."""
        self._offered = True
        """Whether the keys of the time are in the footer."""
        self._stale = False
        """Whether something else was held meanwhile: the numbers may be others once it is not any more."""

    @property
    def sockmon(self) -> SockmonApp:
        """The app that this is a screen of."""
        return cast("SockmonApp", self.app)

    def compose(self) -> ComposeResult:
        with Horizontal(id="headline"):
            yield Facts(id="title")
            yield Facts(id="aside")
        with Page(id="page"):
            yield Facts(id="glance")
            for page in pages(self.proposal):
                yield Change(page)
            yield Facts(14, id="hand")
        with Vertical(id="confirm"):
            yield Facts(id="promise")
            yield Facts(id="typed")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#glance", Facts).show(*glance(self.proposal))
        self.query_one("#hand", Facts).show(*by_hand(self.proposal))
        self._draw()
        self.call_after_refresh(self._was_drawn)
        self.watch(self.query_one(Page), "scroll_y", self._draw_aside, init=False)
        self.set_interval(1.0, self._draw)

    def _was_drawn(self) -> None:
        self._typed.drawn(self._clock())

    # What is shown

    def show(self, assessment: Assessment) -> None:
        """Nothing here changes with a sample but the name of the host, once."""
        snapshot = assessment.snapshot
        netns = f" · netns {snapshot.netns[0].name}" if snapshot.netns else ""
        self._host = f" to {snapshot.host.name}{netns}"
        if self.is_mounted:
            self._draw()

    def answer(self, detail: Detail) -> None:
        """Nothing here asks for details."""

    def _draw(self) -> None:
        count = len(self.proposal.plan.settings)
        title = f"Apply {count} change{'s' if count > 1 else ''}"
        self.query_one("#title", Facts).show(Fact("", Text.assemble((title, "heading"), (self._host, "strong"))))
        self._draw_aside()
        promise, typed = self._words()
        if self._open != self._offered:
            # The footer is made anew.
            self._offered = self._open
            self.refresh_bindings()
        self.query_one("#promise", Facts).show(Fact("", promise))
        self.query_one("#typed", Facts).show(Fact("", typed))

    def _draw_aside(self) -> None:
        """How much there is to think of, and how much is not in sight."""
        page = self.query_one(Page)
        warnings = sum(len(preview.warnings) for preview in self.proposal.previews)
        below = round(page.max_scroll_y - page.scroll_y)
        text = Text(justify="right")
        text.append(f"▲ {warnings} to think of" if warnings else "", "sev-warning")
        text.append(f"  ↓ {below} lines more" if below > 0 else "", "accent")
        aside = self.query_one("#aside", Facts)
        aside.styles.width = text.cell_len + 2
        aside.show(Fact("", text))

    def _words(self) -> tuple[Text, Text]:
        """What happens, and what to do now."""
        if self._sent is not None:
            return self._sending(self._clock() - self._sent)
        if why := self.sockmon.cannot_tune:
            # What is on screen may be another machine than the one whose shell this is.
            where = "As root: " if self.sockmon.source.title == "live" else "On that machine, as root: "
            hint = Text.assemble(where, (as_root(self.proposal), "strong"))
            return Text.assemble(("Nothing can be applied from here. ", "sev-warning"), sentence(why)), hint
        if self._refused.plain:
            return self._refused, Text("Nothing is held. Esc leaves; from the panel it can be made anew.", "muted")
        if self._held:
            who = self._held.who
            words = f"{who.login or who.user}'s change is held: {self._held.id}."
            return Text(words, "sev-warning"), Text("Keep or revert that one first; Esc leaves.", "muted")
        time_left = format.duration(self._hold)
        goes = f"Goes back by itself after {time_left} unless kept, even if this terminal dies."
        return Text(goes), self._asking()

    @property
    def _held(self) -> Transaction | None:
        """What is held already: there is one change at a time."""
        standing = self.sockmon.standing
        return standing.held if standing else None

    def _sending(self, seconds: float) -> tuple[Text, Text]:
        if seconds < PATIENCE and not self.sockmon.cannot_tune:
            return Text("Applying …", "accent"), Text(
                "Written, read back and held; keys wait for the answer.", "muted"
            )
        why = self.sockmon.cannot_tune or f"there is no answer for {format.duration(seconds)}"
        text = Text.assemble(("Not known what became of it: ", "sev-hit"), sentence(why))
        hint = "`sockmon tune history` says; what was applied goes back by itself. Esc leaves."
        return text, Text(hint, "muted")

    def _asking(self) -> Text:
        letters = self._typed.letters
        text = Text.assemble("Type ", (WORD, "strong"), " to go on, Esc to leave: ", (letters, "sev-ok"))
        text.append("_" * (len(WORD) - len(letters)), "muted")
        return text.append(f"  {self._typed.why}" if self._typed.why else "", "sev-warning")

    # The word

    @property
    def _open(self) -> bool:
        """Whether the word can be typed."""
        return not (self._sent is not None or self._refused.plain or self._held or self.sockmon.cannot_tune)

    @property
    def _waits(self) -> bool:
        """Whether an answer is on its way."""
        return self._sent is not None and self._clock() - self._sent < PATIENCE and not self.sockmon.cannot_tune

    def on_key(self, event: Key) -> None:
        """Letters of the word are taken here, before any binding; while the desk is at work all are dead."""
        if self._waits:
            event.stop()
            return
        char = "\r" if event.key == "enter" else event.character if event.is_printable else None
        if event.key == "backspace":
            self._typed.back()
        elif char is not None and self._open:
            if char in WORD or char == "\r":
                event.stop()
            self._press(char, event)
        self._draw()

    def _press(self, char: str, event: Key) -> None:
        if self._typed.press(char, event.time):
            self._send()
        elif char == "\r" and self._typed.why == WRONG:
            self._typed.clear(ENTER)
        elif char not in WORD and event.key in self.active_bindings:
            self._typed.clear()

    def on_paste(self, event: Paste) -> None:
        """Pasted text never is the word."""
        event.stop()
        self._typed.paste(event.time)
        self._draw()

    def _send(self) -> None:
        if self.sockmon.ask_desk(Apply(self.proposal.plan, float(self._hold))):
            self._sent = self._clock()
        else:
            self._refused = Text("Nothing was done: nobody is there who could apply it.", "sev-warning")

    def hear(self, answer: Answer) -> None:
        """What became of it: back to the board while it is held, else the words why it is not."""
        if self._sent is not None and isinstance(answer, Told):
            self._told(answer.transaction)
        elif self._sent is not None and isinstance(answer, Failed):
            self._refuse("Nothing was done: ", answer.message, answer.hint)
        elif self._sent is None and isinstance(answer, Standing):
            if self._stale and answer.held is None and not self._refused.plain:
                self._refuse("Made before another change ended: ", "its numbers may be old")
            self._stale = answer.held is not None
        self._draw()

    def _told(self, transaction: Transaction) -> None:
        if transaction.state in ("applying", "holding"):
            self.sockmon.board()
        elif transaction.state == "refused":
            self._refuse("Nothing was done: ", *transaction.words)
        elif transaction.state in GONE_WRONG:
            self._refuse(f"{transaction.state.upper()}: ", *transaction.words)
        else:
            self._refuse("It went back: ", *transaction.words)

    def _refuse(self, what: str, *words: str) -> None:
        self._sent = None
        said = " ".join(sentence(each) for each in words if each)
        self._refused = Text.assemble((what, "sev-hit"), said or "no reason was given.")

    # Other keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The time is chosen only where something can be applied."""
        return self._open if action == "hold" else True

    def action_hold(self, step: int) -> None:
        """Hold it longer or shorter."""
        place = HOLDS.index(self._hold) + step
        self._hold = HOLDS[min(max(place, 0), len(HOLDS) - 1)]
        self._draw()

    def action_leave(self) -> None:
        """Back to where it was planned."""
        self.dismiss()
