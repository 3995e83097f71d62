"""A walk through a guide: the steps at the left of a wide screen, what the facts prove, and what can be done.

headline                  the guide, the number of the step and its title
┌ #steps ┐┌ #evidence ──┐ hypothesis, verdict, numbers; or the plan, or the state of a verification (scrolls)
│        ││             │
│        │└─────────────┘
│        │┌ #next ──────┐ what can be done; Enter does the one under the cursor
└────────┘└─────────────┘
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer

from sockmon import format as fmt
from sockmon.assess import Assessment
from sockmon.errors import PlanRejected, SockmonError
from sockmon.guides import find_guide
from sockmon.guides.facts import Source
from sockmon.guides.guide import Act
from sockmon.guides.walk import Walk
from sockmon.model.helper_protocol import Answer, HelperStatus, ReadSettings, SettingsRead
from sockmon.tuning.planning.draft import DraftResult, evaluate, suggested_changes
from sockmon.tuning.planning.plan import keys_to_read
from sockmon.ui import keys
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.detail.detail_screen import Page
from sockmon.ui.guiding import walk_text
from sockmon.ui.guiding.choices import Choice, choices, columns
from sockmon.ui.guiding.summary_file import SummaryScreen
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table

EVIDENCE_GUTTER = 14
WALK_ACTIONS = ("guide.back", "guide.examples", "guide.copy", "guide.write", "guide.again", "quit")
NOT_IN_FOOTER = ("guide.examples", "guide.again", "quit")
"""Keys that work here but have no room in the footer."""
SOURCE_LABELS: dict[Source, str] = {"live": "", "recording": "recording", "remote": "another host"}
MIN_READ_SECONDS = 0.5
"""Seconds in which no one can have read a new suggestion: Enter in them was meant for the one before."""


class ChoiceTable(Table[Choice]):
    """The choices; its keys for pages scroll the evidence, which is longer than they are."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys.BY_ID["open"].keys, "open", "Take", key_display="⏎", id="open")
    ]

    def action_page(self, pages: int) -> None:
        """Scroll the evidence by some pages."""
        self.screen.query_one("#evidence Page", Page).action_page(pages)


class WalkScreen(SummaryScreen):
    """One walk; `clock` returns monotonic seconds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(replace(keys.binding(each), show=each not in NOT_IN_FOOTER) for each in WALK_ACTIONS),
        Binding(keys.BY_ID["tune"].keys, "tune", "Tune", show=False, id="tune"),
        Binding(keys.BY_ID["guide"].keys, "guides", "Guides", show=True, id="guide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-high")]  # noqa: RUF012
    AUTO_FOCUS = "#choices"
    HELP_FIRST: ClassVar[Mapping[str, str]] = {
        "open": "Take the choice under the cursor; at first the suggested one, marked ▸",
        "row.down": "Next choice",
        "row.up": "Choice above",
        "page.down": "Scroll the evidence down",
        "page.up": "Scroll the evidence up",
        "guide.examples": "Show the examples of all programs, or of this one",
        "guide.back": "Go to the step before; what was changed stays changed",
        "guide.again": "Begin the guide again",
        "guide.copy": "Copy the summary, as Markdown",
        "guide.write": "Write the summary to a file",
        "guide": "The list of guides",
        "back": "Leave the walk; w returns to it",
    }

    def __init__(self, walk: Walk, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.walk = walk
        self._clock = clock
        self._toggled_examples = False
        """Whether the reader wants few examples where there is room for all, or all where there is not."""
        self._drawn_step = -1
        """Number of the step that was drawn last."""
        self._first: tuple[str, str, str] | None = None
        self._first_at = 0.0
        """What the first choice is, and since when."""

    def compose(self) -> ComposeResult:
        self._fit_to_terminal()
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        with Horizontal(id="walk"):
            with Frame(Content("Steps"), id="steps", classes="panel"), Page(id="path"):
                yield LabelledList(id="step-list")
            with Vertical(id="step"):
                with Frame(Content("Step"), id="evidence", classes="panel"), Page():
                    yield LabelledList(EVIDENCE_GUTTER, id="facts")
                with Frame(Content("Next"), id="next", classes="panel"):
                    yield ChoiceTable(columns(self.walk), lambda choice: choice.key, id="choices", flex=24)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#path").can_focus = False
        self.query_one("#choices", Table).heading = False
        self.watch(self.query_one("#evidence Page"), "scroll_y", self._note_hidden, init=False)
        self._read_settings()
        super().on_mount()

    def on_screen_resume(self) -> None:
        """Read the values again: another process may have changed them."""
        # A panel that was open above may have planned for another network namespace.
        self.sockmon.plan_for(self._planned_netns)
        self._read_settings()

    # What is shown

    def draw(self, assessment: Assessment) -> None:
        number = len(self.walk.progress.path) + 1
        self._draw_head(number, assessment)
        refusal = self._refusal()
        self.query_one("#step-list", LabelledList).show(*walk_text.step_items(self.walk))
        shows_all = self.has_class("-high") != self._toggled_examples
        key = "" if shows_all else self._key("guide.examples")
        self.query_one("#facts", LabelledList).show(*walk_text.evidence(self.walk, refusal, key))
        self._draw_choices(choices(self.walk, refusal is not None), new_step=number != self._drawn_step)
        if number != self._drawn_step:
            self._drawn_step = number
            self.query_one("#choices", Table).action_first()
            self.query_one("#evidence Page", Page).scroll_home(animate=False)
        self.call_after_refresh(self._note_hidden)

    def _draw_head(self, number: int, assessment: Assessment) -> None:
        title = Text.assemble(("guide", "heading"), " · ", (self.walk.guide.title, "strong"))
        title.append(f" · {self.walk.progress.number}" if self.walk.progress.number else "")
        own, spaces = self.walk.facts.netns, assessment.snapshot.netns
        if own.inode not in [each.inode for each in spaces]:
            title.append(f" · {own.name} has ended", "sev-warning")
        elif own.inode != spaces[0].inode:
            title.append(f" · in {own.name}", "accent")
        self.query_one("#title", LabelledList).show(Labelled("", title))
        frame = self.query_one("#evidence", Frame)
        head = f"Step {number} · {self.walk.step.title}"
        if str(frame.border_title) != head:
            frame.border_title = Content(head)

    def _set_corner(self, below: str) -> None:
        """Show where the samples come from; on a short screen, whose frames have no lower border, also how many
        lines are below."""
        source = SOURCE_LABELS[self.walk.place.source]
        text = Text.assemble(
            (source, "muted"), "  " if source and below else "", (below, "accent"), justify="right"
        )
        corner = self.query_one("#corner", LabelledList)
        corner.display = bool(text.plain)
        corner.styles.width = text.cell_len + 2
        corner.show(Labelled("", text))

    def _draw_choices(self, found: list[Choice], new_step: bool) -> None:
        if found[0].key != self._first:
            self._first, self._first_at = found[0].key, -math.inf if new_step else self._clock()
        table = self.query_one("#choices", Table)
        if len(found) != len(table.rows):
            self.query_one("#next").styles.height = len(found) + 2
        table.show(found)

    def _note_hidden(self) -> None:
        """Show how many lines of the evidence are below."""
        page = self.query_one("#evidence Page", Page)
        hidden = max(0, round(page.max_scroll_y - page.scroll_y))
        key = self._key("page.down")
        note = f"↓ {fmt.plural(hidden, 'more line')} · {key}" if hidden else ""
        self.query_one("#evidence", Frame).set_note(Text(note, "accent"))
        self._set_corner(f"↓ {hidden} · {key}" if hidden and self.has_class("-short") else "")

    def _key(self, action_id: str) -> str:
        return keys.show_keys(keys.effective(self.sockmon.keys)[action_id].split(",")[0])

    def action_examples(self) -> None:
        """Show the examples for all software, or those that fit alone."""
        self._toggled_examples = not self._toggled_examples
        if self.assessment:
            self.draw(self.assessment)

    # The change of an act

    def _wanted(self) -> dict[str, str]:
        return {each.key: each.value for each in self.walk.wanted}

    def _draft(self) -> DraftResult:
        here = self.sockmon.plan_context()
        return evaluate(self._wanted(), here) if here else DraftResult()

    def _refusal(self) -> SockmonError | None:
        """Return why the proposed change cannot be made here; None if it can, or if that is not known yet."""
        if not self.walk.wanted or self.walk.suggested:
            return None
        proposal, error = self._draft()
        if proposal and not proposal.plan.settings:
            return PlanRejected(f"{', '.join(proposal.already)}: the value is already set")
        return error

    def _read_settings(self) -> None:
        if wanted := self._wanted():
            self.sockmon.ask_helper(ReadSettings(tuple(keys_to_read(wanted))))

    def on_helper_answer(self, answer: Answer) -> None:
        """Take new values, and what became of a change."""
        if isinstance(answer, SettingsRead):
            # Only the first answer tells whether a change can be made from here.
            self.walk.place = self.sockmon.guide_place(self.walk.facts.now)
        if self.assessment and not isinstance(answer, HelperStatus):
            self.draw(self.assessment)

    def action_tune(self) -> None:
        """Open the tuning panel, with what this step proposes in the plan."""
        wanted = self._wanted()
        more = suggested_changes(self._draft().proposal)
        reading = self.walk.facts.reading if wanted else None
        self.sockmon.tune(reading, {**wanted, **more, **wanted}, self._planned_netns)

    @property
    def _planned_netns(self) -> int:
        """The network namespace whose settings the walk proposes to change."""
        return self.walk.facts.netns.inode

    # Going on

    def opens(self, table: Table[Any], row: Any) -> str | None:
        """Do what is under the cursor."""
        choice: Choice = row
        if choice.key not in {each.key for each in choices(self.walk, self._refusal() is not None)}:
            # A change has led to another step, which is not drawn yet.
            return None
        if choice.key == self._first and self._clock() - self._first_at < MIN_READ_SECONDS:
            return None
        if choice.kind == "wait":
            if isinstance(self.walk.step, Act):
                return "change the application, then take the line below"
            return "nothing to go on with yet: wait, or choose another line"
        self._do(choice)
        return None

    def _do(self, choice: Choice) -> None:
        refusal = self._refusal()
        match choice.kind:
            case "take":
                self._go(lambda: self.walk.take(choice.target))
            case "refuse":
                self._go(lambda: self.walk.refused(refusal.message if refusal else ""))
            case "plan":
                self.action_tune()
            case "copy":
                self.action_copy_summary()
            case "write":
                self.action_write_summary()
            case _:
                self._leave_for(choice)

    def _leave_for(self, choice: Choice) -> None:
        """Open another screen; `w` returns from it."""
        if choice.kind == "ceiling":
            self.app.push_screen(CeilingScreen((choice.target, choice.subject)))
        elif choice.kind == "list":
            self.sockmon.list_guides()
        elif choice.kind == "guide":
            self.sockmon.walk(find_guide(choice.target))
        elif choice.kind == "again":
            self.action_again()

    def _go(self, move: Callable[[], object]) -> None:
        move()
        self.sockmon.guide_session.save()
        self._read_settings()
        if self.assessment:
            self.draw(self.assessment)

    def action_step_back(self) -> None:
        """Go to the step before; what was changed stays changed."""
        if self.walk.progress.path:
            self._go(self.walk.back)
        else:
            self.sockmon.show_message("this is the first step", "information")

    def action_again(self) -> None:
        """Begin the guide again."""
        self.sockmon.walk(self.walk.guide, again=True)

    def action_guides(self) -> None:
        """Open the list of guides."""
        self.sockmon.list_guides()
