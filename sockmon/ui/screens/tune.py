"""The tuning panel: every knob with what it is, what it should be and what to know of it, and the plan so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Footer, Input, Label

from sockmon import ceilings, format
from sockmon.assess import Assessment
from sockmon.ceilings.sections import sentence
from sockmon.model.desk import Answer, Failed, Look, Looked, Standing
from sockmon.model.report import Reading
from sockmon.tunables import row_of
from sockmon.tuning import listing
from sockmon.tuning.advice import knobs
from sockmon.tuning.here import Here
from sockmon.ui import keys
from sockmon.ui.screens.ceiling import find_reading, numbers
from sockmon.ui.screens.drill import Drill, Page
from sockmon.ui.screens.edit import LONGEST, EditScreen
from sockmon.ui.screens.knobs import Line, columns, lines
from sockmon.ui.screens.planned import about, so_far
from sockmon.ui.staged import Made, Staged, suggested
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.column import cut_middle
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.framed import Framed
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.words import Words, spread

OWN = ("tune.advice", "tune.drop", "tune.preview", "prove", "history", "filter", "pause", "quit")
QUIET = ("filter", "pause", "quit")
"""Keys that work here too, and have no room in the line of keys."""


class Narrow(Input):
    """The words that narrow the table; Esc takes them away."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "screen.all", "All", show=True, id="back")]


class TuneScreen(Drill):
    """All that can be set; opened from a ceiling, with its remedies first and the best of them staged."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(replace(keys.binding(each), show=each not in QUIET) for each in OWN),
        Binding(keys.BY_ID["tune"].keys, "stay", "Tune", show=False, id="tune"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-high")]  # noqa: RUF012
    AUTO_FOCUS = "#knobs"

    def __init__(self, reading: Reading | None = None) -> None:
        super().__init__()
        self.reading = reading
        self._staged = Staged()
        self._made = Made()
        self._note = Text()
        self._keys: tuple[str, ...] = ()
        self._lines: list[Line] = []
        for knob in knobs(reading)[:1] if reading else ():
            self._staged.wanted[knob.key] = knob.value

    def compose(self) -> ComposeResult:
        with Horizontal(id="headline"):
            yield Facts(id="title")
            yield Facts(id="aside")
        yield Facts(14, id="why")
        with Horizontal(id="narrow"):
            yield Label("filter", markup=False)
            yield Narrow(placeholder="any words of a key or of what it does", select_on_focus=False)
        with Framed(Content("What can be set"), id="all", classes="panel"):
            yield Table(columns(160), lambda line: line.key, id="knobs", columns_for=columns, flex=24)
        with Framed(Content("What to know"), id="about", classes="panel"), Page():
            yield Facts(14, id="words")
        yield Words(id="plan")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Narrow).cursor_blink = False

    def on_screen_resume(self) -> None:
        """What somebody else has changed meanwhile is looked at too."""
        self._look()

    def _look(self) -> None:
        report = self.assessment.report if self.assessment else None
        self._keys = tuple(dict.fromkeys([*listing.keys(report), *self._staged.wanted]))
        self.sockmon.ask_desk(Look(self._keys))

    # What is shown

    def draw(self, assessment: Assessment) -> None:
        if self.reading:
            key = self.reading.ceiling, self.reading.subject
            self.reading = find_reading(assessment, key, self.reading) or self.reading
        if set(listing.keys(assessment.report)) - set(self._keys):
            self._look()
        self._draw_head(assessment)
        self.query_one("#why", Facts).show(*self._why())
        self._draw_plan()

    def _draw_head(self, assessment: Assessment) -> None:
        host, spaces = assessment.snapshot.host.name, assessment.snapshot.netns
        where = f"{host} · netns {spaces[0].name}" if spaces else host
        self.head(Text.assemble(("Tuning", "heading"), " · ", (where, "strong")))

    def _why(self) -> Iterator[Fact]:
        if why := self.sockmon.cannot_tune:
            yield Fact("Only to look", Text.assemble(("Nothing can be applied from here: ", "sev-warning"), why))
        if self.reading is None:
            return
        title = ceilings.TITLES.get(self.reading.ceiling, self.reading.ceiling)
        yield Fact("Ceiling", Text.assemble((title, "heading"), "  ", self._numbers(self.reading)))
        first = next(iter(self.reading.remedies), None)
        if not knobs(self.reading):
            text = f"no sysctl cures this{': ' + first.text if first else ''}"
            yield Fact("No knob", Text(sentence(text), "sev-warning"))
        elif first and first.kind not in ("sysctl", "rlimit"):
            yield Fact("Better still", Text(sentence(first.text)))

    def _numbers(self, reading: Reading) -> Text:
        """Whose ceiling, and how full it is; on a narrow screen in one line."""
        if self.wide:
            return Text.assemble((reading.subject, "strong"), "  ", numbers(reading))
        look = LOOKS[reading.severity]
        full = Text(f"  {look.glyph} {format.ratio(reading.ratio)}", look.style)
        title = ceilings.TITLES.get(reading.ceiling, reading.ceiling)
        room = self.app.size.width - 20 - len(title) - full.cell_len
        return Text.assemble(cut_middle(Text(reading.subject, "strong"), max(room, 16)), full)

    def _draw_plan(self) -> None:
        """Everything that hangs on the values now and on what is staged."""
        here = self.sockmon.here()
        self._made = self._staged.make(here)
        table = self.query_one("#knobs", Table)
        if here:
            report = self.assessment.report if self.assessment else None
            wanted = tuple(dict.fromkeys([*listing.keys(report), *self._staged.wanted]))
            rows = listing.rows(wanted, here, report)
            self._lines = lines(rows, self._planned(), suggested(self._made.proposal), self.reading)
        table.show([line for line in self._lines if self._matches(line)])
        frame = self.query_one("#all", Framed)
        advised = sum(line.rank < 3 for line in self._lines)
        frame.say(Text(f"{len(table.rows)} of {len(self._lines)}"), Text(f"{advised} advised", "sev-warning"))
        self._draw_about(here)
        self._draw_strip()

    def _planned(self) -> dict[str, str]:
        """The staged values as they would be written."""
        settled = self._made.proposal.plan.settings if self._made.proposal else ()
        new = {each.name: each.new for each in settled}
        return {key: new.get(key, text) for key, text in self._staged.wanted.items()}

    def _matches(self, line: Line) -> bool:
        words = self.query_one(Narrow).value.casefold().split()
        said = f"{line.key} {line.row.unit} {line.row.scope} {row_of(line.key).words}".casefold()
        return all(word in said for word in words)

    def _draw_about(self, here: Here | None) -> None:
        line = self.selected
        frame = self.query_one("#about", Framed)
        if line is None or here is None:
            self.query_one("#words", Facts).show(Fact("", Text("The values are being read.", "muted")))
            return
        title, facts = about(line, here, self._made.proposal)
        if frame.border_title != title:
            frame.border_title = Content(title)
        self.query_one("#words", Facts).show(*facts)

    def _draw_strip(self) -> None:
        said = self._note if self._note.plain else so_far(self._made, self._suggested(), self._key)
        ready = self._made.proposal is not None and bool(self._made.proposal.plan.settings)
        right = Text.assemble((f"{self._key('tune.preview')} ", "heading"), "preview ") if ready else Text()
        left = Text.assemble((" Plan ", "heading"), said)
        self.query_one("#plan", Words).show(spread(left, right, self.size.width))

    def _suggested(self) -> dict[str, str]:
        asked = suggested(self._made.proposal)
        return {key: new for key, new in asked.items() if self._staged.wanted.get(key) != new}

    def _key(self, id: str) -> str:
        return keys.show_keys(keys.effective(self.sockmon.keys)[id])

    def _say(self, text: str) -> None:
        self._note = Text.assemble((" ✖ ", "sev-hit"), text)
        self._draw_strip()

    # What the desk says

    def hear(self, answer: Answer) -> None:
        """New values, or another's change that has come or gone."""
        if isinstance(answer, Looked):
            self._settle()
        elif isinstance(answer, Failed):
            self._say(answer.message)
        elif isinstance(answer, Standing):
            self.query_one("#why", Facts).show(*self._why())
            return
        if self.assessment:
            self.draw(self.assessment)

    def _settle(self) -> None:
        """What was staged before the values were known is checked now."""
        here = self.sockmon.here()
        for key, new in list(self._staged.wanted.items()):
            self._staged.put(key, new, here)

    # What one does

    @property
    def selected(self) -> Line | None:
        """The line under the cursor."""
        return cast("Line | None", self.query_one("#knobs", Table).selected)

    def on_table_moved(self) -> None:
        """Another line: what to know of it, and no more of the last word."""
        self._note = Text()
        self.query_one("#about Page", Page).scroll_home(animate=False)
        self._draw_about(self.sockmon.here())
        self._draw_strip()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter on a line edits its value."""
        line: Line = event.row
        if line.row.refused:
            self._say(f"{line.key} cannot be changed here: {line.row.refused}")
        elif line.row.current is None:
            self._say(f"{line.key}: its value now is not known here")
        elif len(line.row.current) > LONGEST:
            self._say(f"{line.key}: its value is too long to edit; `sockmon tune plan` takes it")
        else:
            screen = EditScreen(line, partial(self._check, line.key))
            self.app.push_screen(screen, partial(self._stage, line.key))

    def _check(self, key: str, text: str) -> Made:
        return self._staged.check(key, text, self.sockmon.here())

    def _stage(self, key: str, new: str | None) -> None:
        self._note = Text()
        if new is not None:
            error = self._staged.put(key, new, self.sockmon.here())
            if error:
                self._note = Text.assemble((" ✖ ", "sev-hit"), error.message)
        self._draw_plan()

    def action_advise(self) -> None:
        """Take the advice of this line; where it is taken, what the plan asks for beside it."""
        line = self.selected
        taken = self._staged.wanted.get(line.key) if line else None
        if line and line.advised is not None and not line.row.refused and taken != line.advised:
            self._stage(line.key, line.advised)
        elif more := self._suggested():
            for key, new in more.items():
                self._stage(key, new)
        elif line:
            why = line.row.refused or "nothing is advised for it"
            self._say(f"{line.key}: {'that is in the plan' if line.wanted is not None else why}")

    def action_drop(self) -> None:
        """Take this line out of the plan."""
        line = self.selected
        if line and self._staged.wanted.pop(line.key, None) is not None:
            self._note = Text()
            self._draw_plan()
        elif line:
            self._say(f"{line.key} is not in the plan")

    def action_preview(self) -> None:
        """Show what the plan does, to be confirmed there."""
        self._draw_plan()
        proposal = self._made.proposal
        if proposal and proposal.plan.settings:
            self.sockmon.preview(proposal)
        elif self._made.error:
            hint = f"; {self._made.error.hint}" if self._made.error.hint else ""
            self._say(f"{self._made.error.message}{hint}")
        else:
            self._say("there is nothing in the plan")

    def action_stay(self) -> None:
        """This is the panel already."""

    def action_prove(self) -> None:
        """Measure here what this setting does."""
        if line := self.selected:
            self.sockmon.prove(line.key.partition("@")[0])

    # Narrowing

    def action_filter(self) -> None:
        """Open the line of words that narrow the table."""
        self.query_one("#narrow").add_class("-shown")
        self.query_one(Narrow).focus()

    def action_all(self) -> None:
        """Show every line again."""
        self.query_one(Narrow).value = ""
        self.query_one("#narrow").remove_class("-shown")
        self.query_one("#knobs").focus()

    @on(Input.Changed)
    def _narrowed(self) -> None:
        self._draw_plan()

    @on(Input.Submitted)
    def _narrowing_done(self) -> None:
        self.query_one("#knobs").focus() if self.query_one(Narrow).value else self.action_all()
