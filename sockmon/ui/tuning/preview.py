"""The preview of a plan: what changes, its effect and warnings, the word that applies it, and the details."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from sockmon import format, own_command
from sockmon.assess import Assessment
from sockmon.document import sentence
from sockmon.model.helper_protocol import Answer, Apply, ChangeResult, HelperStatus, RequestFailed
from sockmon.model.plan import Proposal
from sockmon.model.report import Reading
from sockmon.model.transaction import Transaction
from sockmon.ui import keys
from sockmon.ui.confirming.confirm_screen import ConfirmScreen
from sockmon.ui.detail.detail_screen import Page
from sockmon.ui.tuning.plan_view import count_warnings, detail_panels, root_command, subject_facts
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

HOLD_CHOICES = (10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds until the rollback, to choose from."""
DEFAULT_HOLD = 60
TALL = 36
"""Rows from which on there is an empty line between changes."""
FAILED_STATES = ("conflict", "stuck")


class PreviewScreen(ConfirmScreen):
    """`clock` returns monotonic seconds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys.BY_ID["faster"].keys, "hold(-1)", "Hold shorter", show=True, id="faster"),
        Binding(keys.BY_ID["slower"].keys, "hold(1)", "Hold longer", show=True, key_display="+", id="slower"),
        keys.binding("quit.now"),
    ]

    def __init__(
        self,
        proposal: Proposal,
        about: Reading | None = None,
        clock: Callable[[], float] = time.monotonic,
        needed_hold: float = 0.0,
    ) -> None:
        """`needed_hold`: the seconds that the verification after the change takes."""
        super().__init__(clock)
        self.proposal = proposal
        self._about = about
        """The alarm that it is meant to end; None: those that advise it."""
        needed = max(DEFAULT_HOLD, needed_hold)
        self._hold = next((each for each in HOLD_CHOICES if each >= needed), HOLD_CHOICES[-1])
        self._host = ""
        self._hold_keys_shown = True
        """Whether the keys of the hold are in the footer."""
        self._stale = False
        """Whether another change has been pending since: when it ends, the values may differ from the plan."""

    def _details(self) -> Iterable[Widget]:
        return detail_panels(self.proposal)

    def on_mount(self) -> None:
        self.query_one("#changes", LabelledList).show(
            *subject_facts(self.proposal, apart=self.app.size.height >= TALL)
        )
        self._draw()
        self.call_after_refresh(self._was_drawn)
        for page in self.query(Page):
            self.watch(page, "scroll_y", self._draw_corner, init=False)
        self.set_interval(1.0, self._draw)

    def _was_drawn(self) -> None:
        super()._was_drawn()
        if self._lines_below("#subject"):
            # A warning that is out of sight is scrolled to before the details are.
            self.query_one("#subject").focus()
        self._draw_corner()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_corner)

    # What is shown

    def show(self, assessment: Assessment) -> None:
        """Show the name of the host; nothing else here changes with a sample."""
        snapshot = assessment.snapshot
        target = self.proposal.plan.target
        name = target.name if target else snapshot.netns[0].name if snapshot.netns else ""
        netns = f" · netns {name}" if name else ""
        self._host = f" to {snapshot.host.name}{netns}"
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        count = len(self.proposal.plan.settings)
        title = f"Apply {format.plural(count, 'change')}"
        self.query_one("#title", LabelledList).show(
            Labelled("", Text.assemble((title, "heading"), (self._host, "strong")))
        )
        self._draw_corner()
        if self._can_type != self._hold_keys_shown:
            self._hold_keys_shown = self._can_type
            self.refresh_bindings()
        self._draw_prompt(*self._prompt())

    def _draw_corner(self) -> None:
        """Show how many warnings there are, and how many lines are out of sight, those of the changes first."""
        hidden, more = self._lines_below("#subject"), self._lines_below("#details")
        text = Text(justify="right")
        text.append_text(count_warnings(self.proposal))
        if hidden:
            text.append(f"  ↓ {format.plural(hidden, 'line')} above the prompt", "sev-warning")
        elif more:
            text.append(f"  ↓ {format.plural(more, 'more line')}", "accent")
        self._draw_in_corner(text)

    def _lines_below(self, page: str) -> int:
        found = self.query_one(page, Page)
        return max(0, round(found.max_scroll_y - found.scroll_y))

    def _prompt(self) -> tuple[Text, Text]:
        """Return what happens, and what to do now."""
        if self._sent is not None:
            return self._sending()
        if why := self.sockmon.cannot_tune:
            # The screen may show another machine than the one that this shell is on.
            here = self.sockmon.source.live and not self.sockmon.source.remote
            where = "As root: " if here else "On that machine, as root: "
            command = root_command(self.proposal, own_command.command() if here else "sockmon")
            hint = Text.assemble(where, (command, "strong"))
            return Text.assemble(("No change can be applied. ", "sev-warning"), sentence(why)), hint
        if self._failure.plain:
            return self._failure, Text("Nothing is pending. Esc leaves; plan it again in the panel.", "muted")
        if self._held:
            who = self._held.actor
            words = f"{who.login or who.user}'s change is pending: {self._held.id}."
            return Text(words, "sev-warning"), Text("Keep it or roll it back first; Esc leaves.", "muted")
        time_left = format.duration(self._hold)
        goes = f"Rolled back after {time_left} unless you keep it, even if this terminal dies."
        return Text(goes), self._typed.prompt()

    @property
    def _held(self) -> Transaction | None:
        """The change that is pending already: there is one at a time."""
        standing = self.sockmon.helper_status
        return standing.pending if standing else None

    def _sending(self) -> tuple[Text, Text]:
        if self._waiting:
            hint = "Writing and reading back; keys have no effect until it is done."
            return Text("Applying …", "accent"), Text(hint, "muted")
        hint = "See `sockmon tune history`; an applied change is rolled back unless kept. Esc leaves."
        return self._outcome_unknown(self.sockmon.cannot_tune), Text(hint, "muted")

    # The word

    @property
    def _can_type(self) -> bool:
        return not (self._sent is not None or self._failure.plain or self._held or self.sockmon.cannot_tune)

    @property
    def _waiting(self) -> bool:
        return super()._waiting and not self.sockmon.cannot_tune

    def _send(self) -> None:
        plan = self.sockmon.with_reasons(self.proposal.plan, self._about)
        if self.sockmon.ask_helper(Apply(plan, float(self._hold))):
            self._sent = self._clock()
        else:
            self._failure = Text("Not applied: the helper process is not running.", "sev-warning")

    def on_helper_answer(self, answer: Answer) -> None:
        """Return to the board if the change is pending, else show why it is not."""
        if self._sent is not None and isinstance(answer, ChangeResult):
            self._on_transaction(answer.transaction)
        elif self._sent is not None and isinstance(answer, RequestFailed):
            self._show_failure("Not applied: ", answer.message, answer.hint)
        elif self._sent is None and isinstance(answer, HelperStatus):
            if self._stale and answer.pending is None and not self._failure.plain:
                self._show_failure("Plan it again: ", "another change ended after this plan was made")
            self._stale = answer.pending is not None
        self._draw()

    def _on_transaction(self, transaction: Transaction) -> None:
        if transaction.state in ("applying", "holding"):
            self.sockmon.board()
        elif transaction.state == "refused":
            self._show_failure("Not applied: ", *transaction.messages)
        elif transaction.state in FAILED_STATES:
            self._show_failure(f"{transaction.state.upper()}: ", *transaction.messages)
        else:
            self._show_failure("Rolled back: ", *transaction.messages)

    def _show_failure(self, what: str, *messages: str) -> None:
        self._sent = None
        text = " ".join(sentence(each) for each in messages if each)
        self._failure = Text.assemble((what, "sev-hit"), text or "no reason was given.")

    # Other keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the keys of the hold only if the plan can be applied."""
        return self._can_type if action == "hold" else True

    def action_hold(self, step: int) -> None:
        """Set the next longer or shorter hold."""
        place = HOLD_CHOICES.index(self._hold) + step
        self._hold = HOLD_CHOICES[min(max(place, 0), len(HOLD_CHOICES) - 1)]
        self._draw()
