"""The tuning panel: every setting with its value and the advised one, facts of the selected one, and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Footer, Input

from sockmon.assess import Assessment
from sockmon.model.helper_protocol import Answer, HelperStatus, ReadSettings, RequestFailed, SettingsRead
from sockmon.model.plan import NetnsTarget
from sockmon.model.report import Reading, Report
from sockmon.tuning.planning import catalog
from sockmon.tuning.planning.advice import BUYS_TIME, advised_remedies
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.draft import DraftPlan, DraftResult, suggested_changes
from sockmon.ui import keys
from sockmon.ui.detail.ceiling import find_in_netns
from sockmon.ui.detail.detail_screen import DetailScreen, Page
from sockmon.ui.detail.section_facts import GUTTER
from sockmon.ui.tuning.edit import MAX_VALUE_CHARACTERS, EditScreen
from sockmon.ui.tuning.limit_facts import limit_facts, read_only_facts
from sockmon.ui.tuning.panel_rows import PanelRow, columns, panel_rows
from sockmon.ui.tuning.panel_text import plan_summary, setting_facts, unlisted_facts
from sockmon.ui.tuning.word_filter import WordFilter
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.text_line import TextLine, justify

PANEL_ACTIONS = ("tune.advice", "tune.drop", "tune.preview", "prove", "history", "filter", "guide", "quit")
NOT_IN_FOOTER = ("filter", "guide", "quit")
"""Keys that work here but have no room in the footer."""


class TuningPanel(DetailScreen):
    """All settings; opened from a ceiling, its remedies come first and the best of them is in the plan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(replace(keys.binding(each), show=each not in NOT_IN_FOOTER) for each in PANEL_ACTIONS),
        Binding(keys.BY_ID["tune"].keys, "stay", "Tune", show=False, id="tune"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-high")]  # noqa: RUF012
    AUTO_FOCUS = "#settings"

    def __init__(
        self,
        reading: Reading | None = None,
        wanted: Mapping[str, str] | None = None,
        netns: NetnsTarget | None = None,
    ) -> None:
        """`wanted`: values by key that are in the plan already; without it the best remedy of `reading` is.
        `netns`: the network namespace whose settings these are; None: that of sockmon."""
        super().__init__()
        self._netns = netns
        self.reading = reading
        self._whole: Assessment | None = None
        self._draft = DraftPlan()
        self._result = DraftResult()
        self._note = Text()
        self._keys: tuple[str, ...] = ()
        self._rows: list[PanelRow] = []
        advised = advised_remedies(reading)[:1] if reading else ()
        self._opened_with = tuple(wanted or ())
        self._draft.wanted.update(wanted or {knob.key: knob.value for knob in advised})

    def compose(self) -> ComposeResult:
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        yield LabelledList(GUTTER, id="why")
        yield WordFilter(id="narrow")
        with Frame(Content("Settings"), id="all", classes="panel"):
            yield Table(columns(160), lambda line: line.key, id="settings", columns_for=columns, flex=24)
        with Frame(Content("Selected setting"), id="about", classes="panel"), Page():
            yield LabelledList(GUTTER, id="facts")
        yield TextLine(id="plan")
        yield Footer(show_command_palette=False)

    def on_screen_resume(self) -> None:
        """Read the values again: another process may have changed them, and another screen may have read those of
        another network namespace."""
        self.sockmon.plan_in(self._netns)
        self._read_settings()

    @property
    def _report(self) -> Report | None:
        return self.assessment.report if self.assessment else None

    def _listed_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*catalog.listed_keys(self._report), *self._draft.wanted]))

    def _read_settings(self) -> None:
        self._keys = self._listed_keys()
        self.sockmon.ask_helper(ReadSettings(self._keys))

    # What is shown

    def show(self, assessment: Assessment) -> None:
        """Take a new Assessment: what is shown is that of the namespace whose settings are planned."""
        self._whole = assessment
        super().show(assessment.of(self._netns.inode) if self._netns else assessment.of_first)

    def draw(self, assessment: Assessment) -> None:
        if self.reading:
            known = self._whole or assessment
            _, found = find_in_netns(known, self.reading.key, self.reading.netns, self.reading)
            self.reading = found or self.reading
        if set(catalog.listed_keys(assessment.report)) - set(self._keys):
            self._read_settings()
        self._draw_head(assessment)
        self._draw_limit()
        self._draw_plan()

    def _draw_limit(self) -> None:
        """Draw why nothing can be applied, and the limit that the panel was opened from."""
        room = None if self.wide else self.app.size.width
        facts = limit_facts(self.reading, room) if self.reading else ()
        self.query_one("#why", LabelledList).show(*read_only_facts(self.sockmon.cannot_tune), *facts)

    def _draw_head(self, assessment: Assessment) -> None:
        host, spaces = assessment.snapshot.host.name, assessment.snapshot.netns
        netns = self._netns.name if self._netns else spaces[0].name if spaces else ""
        where = f"{host} · netns {netns}" if netns else host
        self.set_title(Text.assemble(("Tuning", "heading"), " · ", (where, "strong")))

    def _draw_plan(self) -> None:
        """Draw all that depends on the current values and the plan."""
        here = self.sockmon.plan_context()
        self._result = self._draft.evaluate(here)
        table = self.query_one("#settings", Table)
        if here:
            self._rows = panel_rows(
                catalog.rows(self._listed_keys(), here, self._report),
                self._draft.as_written(self._result.proposal),
                suggested_changes(self._result.proposal),
                self.reading,
                self._opened_with,
            )
        words = self._filter.words
        table.show([line for line in self._rows if line.matches(words)])
        frame = self.query_one("#all", Frame)
        shown, many = f"{len(table.rows)} of {len(self._rows)}", self._advised
        frame.set_note(Text(shown), Text(f"{many} advised", "sev-warning" if many else "muted"))
        self._draw_about(here)
        self._draw_plan_line()

    @property
    def _advised(self) -> int:
        """How many rows have advice that can be used."""
        return sum(line.advised is not None and not line.row.refused for line in self._rows)

    def _draw_about(self, here: PlanContext | None) -> None:
        line = self.selected
        frame = self.query_one("#about", Frame)
        typed = self._filter.text
        if here is None or (line is None and not typed):
            self.query_one("#facts", LabelledList).show(Labelled("", Text("Reading the values.", "muted")))
            return
        if line is None:
            title, facts = unlisted_facts(typed)
        else:
            title, facts = setting_facts(line, here, self._result.proposal)
        if frame.border_title != title:
            frame.border_title = Content(title)
        self.query_one("#facts", LabelledList).show(*facts)

    def _draw_plan_line(self) -> None:
        text = self._note
        if not text.plain:
            text = plan_summary(self._result, self._suggested, self._key, self._advised > 0)
        ready = self._result.proposal is not None and bool(self._result.proposal.plan.settings)
        right = Text.assemble((f"{self._key('tune.preview')} ", "heading"), "preview ") if ready else Text()
        left = Text.assemble((" Plan ", "heading"), text)
        self.query_one("#plan", TextLine).show(justify(left, right, self.size.width))

    @property
    def _suggested(self) -> dict[str, str]:
        """The further changes that the plan needs, values by key."""
        return self._draft.still_suggested(self._result.proposal)

    def _key(self, id: str) -> str:
        return keys.show_keys(keys.effective(self.sockmon.keys)[id])

    def _show_error(self, text: str) -> None:
        self._note = Text.assemble((" ✖ ", "sev-hit"), text)
        self._draw_plan_line()

    # Answers of the helper

    def on_helper_answer(self, answer: Answer) -> None:
        """Take new values, or a change of the status."""
        if isinstance(answer, SettingsRead):
            self._recheck_draft()
        elif isinstance(answer, RequestFailed):
            self._show_error(answer.message)
        elif isinstance(answer, HelperStatus):
            self._draw_limit()
            return
        if self.assessment:
            self.draw(self.assessment)

    def _recheck_draft(self) -> None:
        """Check what was planned before the values were known."""
        here = self.sockmon.plan_context()
        for key, new in list(self._draft.wanted.items()):
            self._draft.stage(key, new, here)

    # Actions

    @property
    def selected(self) -> PanelRow | None:
        """The row under the cursor."""
        return cast("PanelRow | None", self.query_one("#settings", Table).selected)

    def on_table_moved(self) -> None:
        """Show the facts of another row, and no longer the last error."""
        self._note = Text()
        self.query_one("#about Page", Page).scroll_home(animate=False)
        self._draw_about(self.sockmon.plan_context())
        self._draw_plan_line()

    def opens(self, table: Table[Any], row: Any) -> None:
        """Edit the value of the row, or show why that is not possible."""
        line: PanelRow = row
        if line.row.refused:
            self._show_error(f"{line.key}: read-only here: {line.row.refused}")
        elif line.row.current is None:
            self._show_error(f"{line.key}: its current value is not known")
        elif len(line.row.current) > MAX_VALUE_CHARACTERS:
            self._show_error(f"{line.key}: the value is too long to edit here; use `sockmon tune plan`")
        else:
            screen = EditScreen(line, partial(self._check, line.key))
            self.app.push_screen(screen, partial(self._put, line.key))

    def _check(self, key: str, text: str) -> DraftResult:
        return self._draft.try_value(key, text, self.sockmon.plan_context())

    def _put(self, key: str, new: str | None) -> None:
        self._note = Text()
        if new is not None:
            error = self._draft.stage(key, new, self.sockmon.plan_context())
            if error:
                self._note = Text.assemble((" ✖ ", "sev-hit"), error.message)
        self._draw_plan()

    def action_advise(self) -> None:
        """Add the advice for this row to the plan; if it is there, what the plan needs with it."""
        line = self.selected
        taken = self._draft.wanted.get(line.key) if line else None
        if line and line.advised is not None and not line.row.refused and taken != line.advised:
            self._put(line.key, line.advised)
        elif more := self._suggested:
            for key, new in more.items():
                self._put(key, new)
        elif line:
            why = line.row.refused or (BUYS_TIME if line.reason else "no advice for it")
            self._show_error(f"{line.key}: {'already in the plan' if line.planned is not None else why}")

    def action_drop(self) -> None:
        """Remove this row from the plan."""
        line = self.selected
        if line and self._draft.wanted.pop(line.key, None) is not None:
            self._note = Text()
            self._draw_plan()
        elif line:
            self._show_error(f"{line.key} is not in the plan")

    def action_preview(self) -> None:
        """Open the preview of the plan, where it is confirmed."""
        self._draw_plan()
        proposal = self._result.proposal
        if proposal and proposal.plan.settings:
            self.sockmon.preview(proposal, self.reading)
        elif self._result.error:
            hint = f"; {self._result.error.hint}" if self._result.error.hint else ""
            self._show_error(f"{self._result.error.message}{hint}")
        else:
            self._show_error("the plan is empty")

    def action_stay(self) -> None:
        """Do nothing: this is the panel."""

    def action_prove(self) -> None:
        """Measure on this machine what this setting does."""
        if line := self.selected:
            self.sockmon.prove(line.key.partition("@")[0])

    # Filter

    @property
    def _filter(self) -> WordFilter:
        return self.query_one(WordFilter)

    def action_filter(self) -> None:
        """Open the filter."""
        self._filter.open()

    def action_all(self) -> None:
        """Clear the filter."""
        self._filter.clear()
        self.query_one("#settings").focus()

    @on(Input.Changed)
    def _narrowed(self) -> None:
        self._draw_plan()

    @on(Input.Submitted)
    def _narrowing_done(self) -> None:
        self.query_one("#settings").focus() if self._filter.text else self.action_all()
