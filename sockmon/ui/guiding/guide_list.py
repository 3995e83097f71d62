"""The list of guides: those under way, those that fit the present report with the reason, and the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Footer

from sockmon.assess import Assessment
from sockmon.ceilings import TITLES
from sockmon.document import sentence
from sockmon.guides import Guide
from sockmon.guides.facts import Facts
from sockmon.guides.fitting import brief_reason
from sockmon.guides.guide import End
from sockmon.guides.walk import step_of
from sockmon.ui import keys
from sockmon.ui.detail.detail_screen import DetailScreen, Page
from sockmon.ui.detail.section_facts import GUTTER
from sockmon.ui.guiding.walk_text import OUTCOME_STYLES
from sockmon.ui.widgets.column import Column
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table

WIDE_COLUMNS = 110
MAX_TITLE = 40


class GuideRow(NamedTuple):
    """A guide in the list."""

    guide: Guide
    why: str
    """Why it fits the present report; empty if it does not."""
    brief_why: str
    """The same for a narrow list."""
    glyph: Text
    """How far it was walked, in three cells: the number of its step, or how it ended."""
    state: Text
    """The same in words; empty if it was not begun."""


class GuideList(DetailScreen):
    """All guides; Enter begins one, or continues it where it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys.BY_ID["open"].keys, "open_guide", "Walk", key_display="⏎", id="open"),
        Binding(keys.BY_ID["guide"].keys, "stay", "Guides", show=False, id="guide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-high")]  # noqa: RUF012
    AUTO_FOCUS = "#guides"
    HELP_FIRST: ClassVar[Mapping[str, str]] = {
        "open": "Begin the guide, or continue it where it was left",
        "row.down": "Next guide",
        "row.up": "Guide above",
        "back": "Leave the list",
    }

    _order: tuple[str, ...] = ()
    """The names of the guides in the order that stays, because the cursor has left the first one."""

    def compose(self) -> ComposeResult:
        self._fit_to_terminal()
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        with Frame(Content("Guides"), id="all", classes="panel"):
            yield Table(_columns(160), lambda row: row.guide.name, id="guides", columns_for=_columns, flex=30)
        with Frame(Content("Selected guide"), id="about", classes="panel"), Page():
            yield LabelledList(GUTTER, id="facts")
        yield Footer(show_command_palette=False)

    def draw(self, assessment: Assessment) -> None:
        assessment = self.sockmon.guided(assessment)
        if not assessment.snapshot.netns:
            # No guide can be walked without a namespace; the last list stays.
            return
        session, place = self.sockmon.guide_session, self.sockmon.guide_place(assessment)
        facts = Facts(assessment, place)
        rows = [
            GuideRow(guide, why, brief_reason(guide, why, facts), *self._state(guide, assessment))
            for guide, why in session.fitting(assessment, place)
        ]
        if self._order:
            rows.sort(key=lambda row: self._order.index(row.guide.name))
        self.set_title(
            Text.assemble(("guides", "heading"), " · from a symptom to the limit, the remedy and the proof")
        )
        table = self.query_one("#guides", Table)
        first = not table.rows
        table.show(rows)
        if first:
            # What comes to the top later must not get an Enter that was meant for another guide.
            table.move(0)
        fit = sum(bool(row.why) for row in rows)
        note = Text(f"{fit} of {len(rows)} fit", "sev-warning" if fit else "muted")
        self.query_one("#all", Frame).set_note(note)
        self._describe()

    def _state(self, guide: Guide, assessment: Assessment) -> tuple[Text, Text]:
        progress = self.sockmon.guide_session.progress_of(guide, assessment.snapshot)
        if progress is None:
            return Text(), Text()
        step, number = step_of(guide, progress), len(progress.path) + 1
        if isinstance(step, End):
            glyph, style = OUTCOME_STYLES[step.outcome]
            return Text(glyph, style), Text(f"{glyph} {step.title}", style)
        return Text(f"▸{number}", "accent"), Text(f"▸ step {number}: {step.title}", "accent")

    @property
    def _selected(self) -> GuideRow | None:
        return cast("GuideRow | None", self.query_one("#guides", Table).selected)

    def _describe(self) -> None:
        if row := self._selected:
            self.query_one("#facts", LabelledList).show(*_facts(row))

    def on_table_moved(self) -> None:
        """Show what the guide under the cursor is about; from now on guides do not move under the cursor."""
        rows = self.query_one("#guides", Table).rows
        if not self._order and self._selected is not rows[0]:
            self._order = tuple(row.guide.name for row in rows)
        self.query_one("#about Page", Page).scroll_home(animate=False)
        self._describe()

    def opens(self, table: Table[Any], row: Any) -> None:
        """Begin the guide, or continue it."""
        self.sockmon.walk(row.guide)

    def action_open_guide(self) -> None:
        """Open the guide under the cursor, also while its description has the focus."""
        if row := self._selected:
            self.sockmon.walk(row.guide)

    def action_stay(self) -> None:
        """Do nothing: this is the list."""


def _facts(row: GuideRow) -> Iterator[Labelled]:
    guide = row.guide
    yield Labelled("Symptom", Text(sentence(guide.symptom), "strong"))
    if row.why:
        yield Labelled("Here now", Text(sentence(row.why), "sev-warning"))
    if row.state:
        yield Labelled("Progress", row.state)
    yield Labelled("Limits", Text(", ".join(TITLES[each] for each in guide.ceilings)))
    note = f"  {sentence(guide.lab_note)}" if guide.lab_note else ""
    yield Labelled("On a lab", Text(f"sockmon guide {guide.name} --lab{note}", "muted"))


def _columns(width: int) -> Sequence[Column[GuideRow]]:
    wide = width >= WIDE_COLUMNS
    title = Column[GuideRow](
        "GUIDE", MAX_TITLE if wide else 33, lambda row: Text(row.guide.title, "strong" * bool(row.why))
    )
    why = Column[GuideRow]("HERE NOW, OR THE SYMPTOM", 0, partial(_why, wide=wide), pin=True)
    if wide:
        return [title, why, Column("PROGRESS", 20, lambda row: row.state)]
    return [Column("", 3, lambda row: row.glyph), title, why]


def _why(row: GuideRow, wide: bool) -> Text:
    if row.why:
        return Text(row.why if wide else row.brief_why, "sev-warning")
    return Text(row.guide.symptom if wide else row.guide.brief, "muted")
