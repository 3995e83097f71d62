"""The changes on this host, who made them and their outcome; `u` plans to undo one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Footer

from sockmon import format
from sockmon.assess import Assessment
from sockmon.errors import SockmonError
from sockmon.model.acting import ActionRecord, action_text
from sockmon.model.boot import Drift
from sockmon.model.helper_protocol import (
    Answer,
    ChangeResult,
    GetHistory,
    History,
    ReadSettings,
    RequestFailed,
    SettingsRead,
)
from sockmon.model.transaction import STATE_LABELS, State, Transaction
from sockmon.text import sanitize
from sockmon.tuning.planning.plan import keys_to_read
from sockmon.tuning.planning.undo import require_values, undo_proposal
from sockmon.ui import keys
from sockmon.ui.detail.detail_screen import DetailScreen, Page
from sockmon.ui.tuning.hold_text import actor_label, drift_text, outcome_messages
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Column, Table

STATE_STYLES: dict[State, tuple[str, str]] = {
    "applying": ("▲", "sev-warning"),
    "holding": ("◷", "sev-warning"),
    "kept": ("●", "sev-ok"),
    "reverted": ("◀", "muted"),
    "conflict": ("▲", "sev-warning"),
    "stuck": ("✖", "sev-hit"),
    "refused": ("–", "muted"),
    "rebooted": ("◀", "muted"),
    "done": ("●", "accent"),
}
"""State → glyph and style."""
WIDE_COLUMNS = 100
MAX_CHARACTERS = 2000


class ChangeScreen(DetailScreen):
    """One change with all its details."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.binding("undo")]

    def __init__(self, change: Transaction, drift: Iterable[Drift]) -> None:
        super().__init__()
        self._change = change
        self._drift = tuple(drift)

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(11, id="about")

    def on_mount(self) -> None:
        self.query_one("#about", LabelledList).show(*change_facts(self._change, self._drift))

    def draw(self, assessment: Assessment) -> None:
        self.set_title(
            Text.assemble(
                ("change", "heading"), " · ", (self._change.id, "strong"), " · ", state_label(self._change)
            )
        )

    def action_undo(self) -> None:
        """Plan to undo it, from the list, which shows why if that is not possible."""
        if self.is_active:
            self.app.pop_screen()
        if isinstance(self.app.screen, HistoryScreen):
            self.app.screen.undo(self._change)


class HistoryScreen(DetailScreen):
    """The changes, newest first, and below them the selected one."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.binding("undo")]
    AUTO_FOCUS = "#changes"
    CSS: ClassVar[str] = """
    HistoryScreen #error { padding: 0 1; }
    HistoryScreen #changes { height: 3fr; }
    HistoryScreen #page { height: 2fr; min-height: 8; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._transactions: tuple[Transaction, ...] | None = None
        self._error = ""
        self._undo: Transaction | None = None
        """The change to undo, until the current values have been read."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        yield LabelledList(id="error")
        yield Table[Transaction](
            _columns(WIDE_COLUMNS), lambda change: change.id, id="changes", columns_for=_columns, classes="panel"
        )
        with Page(id="page", classes="panel"):
            yield LabelledList(11, id="about")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#page").can_focus = False
        self.query_one("#page").border_title = "Selected change"
        self._ask()

    def on_screen_resume(self) -> None:
        """Read the history again."""
        self._ask()

    def _ask(self) -> None:
        if not self.sockmon.ask_helper(GetHistory()):
            self._error = f"the history cannot be read: {self.sockmon.cannot_tune}"
        self._draw()

    def on_helper_answer(self, answer: Answer) -> None:
        """Take the history, a new change, or the values that an undo was waiting for."""
        if isinstance(answer, History):
            self._transactions, self._error = answer.transactions, ""
        elif isinstance(answer, ChangeResult):
            self.sockmon.ask_helper(GetHistory())
        elif isinstance(answer, RequestFailed):
            self._fail(answer)
        elif isinstance(answer, SettingsRead) and self._undo is not None:
            self._preview(self._undo)
        self._draw()

    def _fail(self, failed: RequestFailed) -> None:
        text = f"{failed.message}{f'; {failed.hint}' if failed.hint else ''}"
        if self._undo is not None or self._transactions is not None:
            self._undo = None
            self.sockmon.show_message(text)
        else:
            self._error = text

    def draw(self, assessment: Assessment) -> None:
        self._draw()

    def _draw(self) -> None:
        if not self.query("#about"):
            return
        rows = self._rows()
        many = format.plural(len(rows), "change")
        self.set_title(Text.assemble(("history", "heading"), " · ", "" if self._transactions is None else many))
        error = self.query_one("#error", LabelledList)
        error.display = bool(self._error)
        error.show(Labelled("", Text(sanitize(self._error, MAX_CHARACTERS), "sev-unknown")))
        table = self._table
        table.empty = "" if self._error else "reading…" if self._transactions is None else "no changes yet"
        table.border_title = "Changes"
        table.show(rows)
        lines = max(len(rows), 1) + table.heading + 2
        table.styles.height = lines if lines < self.app.size.height // 2 else "3fr"
        self._describe()

    @property
    def _table(self) -> Table[Transaction]:
        return cast("Table[Transaction]", self.query_one("#changes", Table))

    def _rows(self) -> tuple[Transaction, ...]:
        """Return the changes without an outcome, then those of the history."""
        known = self._transactions or ()
        ids = {each.id for each in known}
        return (*(each for each in self.sockmon.unfinished_changes if each.id not in ids), *known)

    def _describe(self) -> None:
        selected = self._table.selected
        facts = change_facts(selected, self.sockmon.drift) if selected else ()
        self.query_one("#about", LabelledList).show(*facts)

    def on_table_moved(self, event: Table.Moved) -> None:
        """Show the selected change below."""
        self._describe()

    def opens(self, table: Table[Any], row: Any) -> None:
        """Open the page of the change."""
        self.app.push_screen(ChangeScreen(row, self.sockmon.drift))

    def action_undo(self) -> None:
        """Plan to undo the selected change."""
        selected = self._table.selected
        if selected is not None:
            self.undo(selected)

    def undo(self, kept: Transaction) -> None:
        """Read the current values; the preview opens when they are there."""
        if kept.state != "kept" and kept.action is None:
            self.sockmon.show_message(f"only a kept change can be undone; this one is: {STATE_LABELS[kept.state]}")
            return
        try:
            require_values(kept)
        except SockmonError as error:
            self.sockmon.show_message(f"{error.message}; {error.hint}")
            return
        self._undo = kept
        self.sockmon.plan_in(kept.plan.target)
        wanted = keys_to_read(setting.name for setting in kept.plan.settings)
        if not self.sockmon.ask_helper(ReadSettings(tuple(wanted))):
            self._undo = None
            self.sockmon.show_message(f"it cannot be undone: {self.sockmon.cannot_tune}")

    def _preview(self, kept: Transaction) -> None:
        self._undo = None
        here = self.sockmon.plan_context()
        assert here is not None
        try:
            self.sockmon.preview(undo_proposal(kept, here))
        except SockmonError as error:
            self.sockmon.show_message(f"{error.message}{f'; {error.hint}' if error.hint else ''}")


def _columns(room: int) -> list[Column[Transaction]]:
    short = room < WIDE_COLUMNS
    return [
        Column("WHEN", 11 if short else 19, lambda change: begin_time(change, short), lambda change: change.begun),
        Column("WHO", 8 if short else 16, lambda change: _who(change, short), lambda change: actor_label(change)),
        Column("STATE", 15, state_label, lambda change: change.state),
        *(
            []
            if short
            else [Column[Transaction]("PERSISTED", 9, lambda change: "yes" if change.persisted else "")]
        ),
        Column("CHANGES", 0, settings_text),
    ]


def begin_time(change: Transaction, short: bool) -> str:
    """Return when it was applied, in local time."""
    return time.strftime("%m-%d %H:%M" if short else "%Y-%m-%d %H:%M:%S", time.localtime(change.begun))


def _who(change: Transaction, short: bool) -> str:
    return sanitize(change.actor.login or change.actor.user) if short else actor_label(change)


def state_label(change: Transaction) -> Text:
    """Return `● kept`, or that another process has changed what was kept."""
    if change.plan.forgets and change.state == "kept":
        done = change.forgotten == change.plan.forgets
        return Text("● forgotten" if done else "▲ not forgotten", "sev-ok" if done else "sev-warning")
    if change.not_kept:
        return Text("▲ kept in part" if change.kept_settings else "▲ not kept", "sev-warning")
    return state_text(change.state)


def state_text(state: State) -> Text:
    """Return `● kept`."""
    glyph, style = STATE_STYLES[state]
    return Text(f"{glyph} {STATE_LABELS[state]}", style)


def settings_text(change: Transaction) -> Text:
    """Return `net.core.somaxconn 4096 → 65535, …`."""
    parts = [
        Text.assemble((sanitize(each.name, MAX_CHARACTERS), "strong"), " ", *_step(each.old, each.new))
        for each in change.plan.settings
    ]
    parts += [
        Text.assemble("the line of ", (sanitize(key, MAX_CHARACTERS), "strong")) for key in change.plan.forgets
    ]
    if change.action is not None:
        parts.append(Text(sanitize(action_text(change.action), MAX_CHARACTERS)))
    return Text(", ").join(parts)


def _step(old: str, new: str) -> tuple[str | tuple[str, str], ...]:
    return (sanitize(old, MAX_CHARACTERS) or "empty", (" → ", "faint"), sanitize(new, MAX_CHARACTERS) or "empty")


def _action_facts(action: ActionRecord) -> Iterator[Labelled]:
    yield Labelled("Action", Text(sanitize(action_text(action), MAX_CHARACTERS), "strong"), indent=2)
    for number, line in enumerate(action.examples):
        yield Labelled("" if number else "The first", Text(sanitize(line, MAX_CHARACTERS)), indent=2)
    yield Labelled("Way back", Text("none: it cannot be undone"))


def _netns(change: Transaction) -> Text:
    target = change.plan.target
    number = Text(f"net:[{change.plan.netns}]", "muted")
    return Text.assemble(sanitize(target.name, MAX_CHARACTERS), "  ", number) if target else number


def change_facts(change: Transaction, drift: Iterable[Drift]) -> Iterator[Labelled]:
    """Yield all that is known of a change."""
    yield Labelled("State", Text.assemble(state_label(change), (f" · {sanitize(change.id)}", "muted")))
    for number, each in enumerate(change.plan.settings):
        value = Text.assemble((sanitize(each.name, MAX_CHARACTERS), "strong"), "  ", *_step(each.old, each.new))
        yield Labelled("" if number else "Changed", value, indent=2)
    for number, key in enumerate(change.plan.forgets):
        yield Labelled(
            "" if number else "Forgotten", Text(f"the line of {sanitize(key, MAX_CHARACTERS)}"), indent=2
        )
    if change.action is not None:
        yield from _action_facts(change.action)
    else:
        yield Labelled("Persisted", Text("yes, in /etc/sysctl.d/90-sockmon.conf" if change.persisted else "no"))
    who = change.actor
    behind = f" as {who.user}" if who.login and who.login != who.user else ""
    yield Labelled("By", Text(sanitize(f"{actor_label(change)}{behind}, uid {who.uid}", 200)))
    held = "" if change.plan.forgets or change.action else f", pending for at most {change.hold:.0f} s"
    yield Labelled("Applied", Text(f"{begin_time(change, False)}{held}"))
    for number, line in enumerate(outcome_messages(change)):
        yield Labelled("" if number else "Outcome", Text(line), indent=2)
    yield Labelled("Namespace", _netns(change))
    yield Labelled("Boot id", Text(sanitize(change.plan.boot_id), "muted"))
    for number, word in enumerate(change.messages):
        yield Labelled("" if number else "Messages", Text(sanitize(word, MAX_CHARACTERS)), indent=2)
    for one in drift:
        if one.id == change.id:
            yield Labelled("Drift", Text(drift_text(one), "sev-warning"), indent=2)
