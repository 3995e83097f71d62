"""What was changed on this host, by whom, and what became of it; `u` plans to take it back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Footer

from sockmon.assess import Assessment
from sockmon.errors import SockmonError
from sockmon.model.change import Drift, Transaction
from sockmon.model.clean import clean
from sockmon.model.desk import Answer, Failed, Look, Looked, Recall, Recalled, Told
from sockmon.tuning.plan import needed
from sockmon.ui import keys
from sockmon.ui.screens.drill import Drill, Page
from sockmon.ui.undoing import undoing
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.hold_words import by, drifted
from sockmon.ui.widgets.table import Column, Table

STATES = {
    "applying": ("▲ left behind", "sev-warning"),
    "holding": ("◷ held now", "sev-warning"),
    "kept": ("● kept", "sev-ok"),
    "reverted": ("◀ went back", "muted"),
    "conflict": ("▲ conflict", "sev-warning"),
    "stuck": ("✖ stuck", "sev-hit"),
    "refused": ("– refused", "muted"),
    "rebooted": ("◀ restarted", "muted"),
}
"""State → glyph and word, style."""
WIDE = 100
LONGEST = 2000


class ChangeScreen(Drill):
    """One change, with all that is known of it."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.binding("undo")]

    def __init__(self, change: Transaction, drift: Iterable[Drift]) -> None:
        super().__init__()
        self._change = change
        self._drift = tuple(drift)

    def parts(self) -> Iterable[Widget]:
        yield Facts(11, id="about")

    def on_mount(self) -> None:
        self.query_one("#about", Facts).show(*about(self._change, self._drift))

    def draw(self, assessment: Assessment) -> None:
        self.head(
            Text.assemble(("change", "heading"), " · ", (self._change.id, "strong"), " · ", state(self._change))
        )

    def action_undo(self) -> None:
        """Plan to take it back, from the list; where that cannot be the list says why."""
        self.app.pop_screen()
        if isinstance(self.app.screen, HistoryScreen):
            self.app.screen.undo(self._change)


class HistoryScreen(Drill):
    """The changes, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.binding("undo")]
    AUTO_FOCUS = "#changes"
    CSS: ClassVar[str] = """
    HistoryScreen #trouble { padding: 0 1; }
    HistoryScreen #changes { height: 3fr; }
    HistoryScreen #page { height: 2fr; min-height: 8; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._recalled: tuple[Transaction, ...] | None = None
        self._trouble = ""
        self._undo: Transaction | None = None
        """What waits for the values as they are now."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="headline"):
            yield Facts(id="title")
            yield Facts(id="aside")
        yield Facts(id="trouble")
        yield Table[Transaction](
            _columns(WIDE), lambda change: change.id, id="changes", columns_for=_columns, classes="panel"
        )
        with Page(id="page", classes="panel"):
            yield Facts(11, id="about")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#page").can_focus = False
        self.query_one("#page").border_title = "This one"
        self._ask()

    def on_screen_resume(self) -> None:
        """It may have grown longer meanwhile."""
        self._ask()

    def _ask(self) -> None:
        if not self.sockmon.ask_desk(Recall()):
            self._trouble = f"there is no history to be read here: {self.sockmon.cannot_tune}"
        self._draw()

    def hear(self, answer: Answer) -> None:
        """The history, what is held, and the values that an undo was waiting for."""
        if isinstance(answer, Recalled):
            self._recalled, self._trouble = answer.transactions, ""
        elif isinstance(answer, Told):
            self.sockmon.ask_desk(Recall())
        elif isinstance(answer, Failed):
            self._fail(answer)
        elif isinstance(answer, Looked) and self._undo is not None:
            self._preview(self._undo)
        self._draw()

    def _fail(self, failed: Failed) -> None:
        words = f"{failed.message}{f'; {failed.hint}' if failed.hint else ''}"
        if self._undo is not None or self._recalled is not None:
            self._undo = None
            self.sockmon.tell(words)
        else:
            self._trouble = words

    def draw(self, assessment: Assessment) -> None:
        self._draw()

    def _draw(self) -> None:
        if not self.query("#about"):
            return
        rows = self._rows()
        many = f"{len(rows)} change" + ("" if len(rows) == 1 else "s")
        self.head(Text.assemble(("history", "heading"), " · ", "" if self._recalled is None else many))
        trouble = self.query_one("#trouble", Facts)
        trouble.display = bool(self._trouble)
        trouble.show(Fact("", Text(clean(self._trouble, LONGEST), "sev-unknown")))
        table = self._table
        table.empty = "" if self._trouble else "asking…" if self._recalled is None else "nothing was changed yet"
        table.border_title = "What was changed"
        table.show(rows)
        self._describe()

    @property
    def _table(self) -> Table[Transaction]:
        return cast("Table[Transaction]", self.query_one("#changes", Table))

    def _rows(self) -> tuple[Transaction, ...]:
        """What has no end yet, then what the history knows."""
        hold = self.sockmon.tuning.hold
        known = self._recalled or ()
        ids = {each.id for each in known}
        open_ = [each for each in (*([hold.held] if hold.held else ()), *hold.pending) if each.id not in ids]
        return (*open_, *known)

    def _describe(self) -> None:
        selected = self._table.selected
        facts = about(selected, self.sockmon.tuning.hold.drift) if selected else ()
        self.query_one("#about", Facts).show(*facts)

    def on_table_moved(self, event: Table.Moved) -> None:
        """What is under the cursor is described below."""
        self._describe()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter has all of it."""
        self.app.push_screen(ChangeScreen(event.row, self.sockmon.tuning.hold.drift))

    def action_undo(self) -> None:
        """Plan to take back what is under the cursor."""
        selected = self._table.selected
        if selected is not None:
            self.undo(selected)

    def undo(self, kept: Transaction) -> None:
        """Ask for the values as they are now; the preview comes with them."""
        if kept.state != "kept":
            self.sockmon.tell(f"only what was kept can be taken back; this one: {STATES[kept.state][0][2:]}")
            return
        self._undo = kept
        wanted = needed(setting.name for setting in kept.plan.settings)
        if not self.sockmon.ask_desk(Look(tuple(wanted))):
            self._undo = None
            self.sockmon.tell(f"it cannot be taken back from here: {self.sockmon.cannot_tune}")

    def _preview(self, kept: Transaction) -> None:
        self._undo = None
        here = self.sockmon.here()
        assert here is not None
        try:
            self.sockmon.preview(undoing(kept, here))
        except SockmonError as error:
            self.sockmon.tell(f"{error.message}{f'; {error.hint}' if error.hint else ''}")


def _columns(room: int) -> list[Column[Transaction]]:
    short = room < WIDE
    return [
        Column("WHEN", 11 if short else 19, lambda change: when(change, short), lambda change: change.begun),
        Column("WHO", 8 if short else 16, lambda change: _who(change, short), lambda change: by(change)),
        Column("STATE", 13, state, lambda change: change.state),
        *(
            []
            if short
            else [Column[Transaction]("PERSISTED", 9, lambda change: "yes" if change.persisted else "")]
        ),
        Column("WHAT", 0, what),
    ]


def when(change: Transaction, short: bool) -> str:
    """When it was begun, by this machine's clock."""
    return time.strftime("%m-%d %H:%M" if short else "%Y-%m-%d %H:%M:%S", time.localtime(change.begun))


def _who(change: Transaction, short: bool) -> str:
    return clean(change.who.login or change.who.user) if short else by(change)


def state(change: Transaction) -> Text:
    """`● kept`."""
    return Text(*STATES[change.state])


def what(change: Transaction) -> Text:
    """`net.core.somaxconn 4096 → 65535, …`."""
    parts = [
        Text.assemble((clean(each.name, LONGEST), "strong"), " ", *_step(each.old, each.new))
        for each in change.plan.settings
    ]
    return Text(", ").join(parts)


def _step(old: str, new: str) -> tuple[str | tuple[str, str], ...]:
    return (clean(old, LONGEST) or "empty", (" → ", "faint"), clean(new, LONGEST) or "empty")


def about(change: Transaction, drift: Iterable[Drift]) -> Iterator[Fact]:
    """All that is known of a change."""
    yield Fact("state", Text.assemble(state(change), (f" · {clean(change.id)}", "muted")))
    for number, each in enumerate(change.plan.settings):
        value = Text.assemble((clean(each.name, LONGEST), "strong"), "  ", *_step(each.old, each.new))
        yield Fact("" if number else "changed", value, hang=2)
    yield Fact("persisted", Text("yes, in /etc/sysctl.d/90-sockmon.conf" if change.persisted else "no"))
    who = change.who
    behind = f" as {who.user}" if who.login and who.login != who.user else ""
    yield Fact("by", Text(clean(f"{by(change)}{behind}, uid {who.uid}", 200)))
    yield Fact("begun", Text(f"{when(change, False)}, to be held for {change.hold:.0f} s"))
    yield Fact("namespace", Text(f"net:[{change.plan.netns}]", "muted"))
    yield Fact("boot", Text(clean(change.plan.boot_id), "muted"))
    for number, word in enumerate(change.words):
        yield Fact("" if number else "said", Text(clean(word, LONGEST)), hang=2)
    for one in drift:
        if one.id == change.id:
            yield Fact("drift", Text(drifted(one), "sev-warning"), hang=2)
