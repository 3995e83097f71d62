"""The base of all pages: a headline, a part that scrolls, and Enter, which opens what a table lists."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from sockmon.assess import Assessment
from sockmon.model.detail import Detail, DetailQuery, ListenerQuery, ProcessQuery, Socket
from sockmon.model.severity import Severity
from sockmon.model.snapshot import Listener, Owner
from sockmon.model.socket_detail import SocketQuery
from sockmon.model.socket_list import SocketKey
from sockmon.ui import keys
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.context import AppContext, app_context
from sockmon.ui.detail.socket_target import LISTENER_GONE, netns_of, socket_key, socket_target
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table

BACK = replace(next(each for each in keys.bindings("app") if each.id == "back"), show=True)
"""Esc is in the footer of a page; the main screen has nothing to go back to."""


class Page(VerticalScroll, can_focus=True):
    """What scrolls; the keys are those that move in a table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in keys.bindings("table") if (binding.id or "").startswith(("row.", "page."))
    ]

    def action_row(self, lines: int) -> None:
        """Scroll by some lines."""
        self.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by some pages."""
        self.scroll_relative(y=pages * max(1, self.size.height - 1), animate=False)

    def action_first(self) -> None:
        """Scroll to the top."""
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        """Scroll to the end."""
        self.scroll_end(animate=False)


WIDE_COLUMNS = 120
MAX_ROW_LINES = 12
"""Lines of a table next to others, with its heading; the rest scrolls."""


MAX_STACKED_LINES = 8
"""Lines of a table above others, with its heading; the rest scrolls."""


class DetailScreen(Screen[None]):
    """A page about one thing; each Assessment updates it."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE_COLUMNS, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "Page"
    HELP_FIRST: ClassVar[Mapping[str, str]] = {}
    """What keys do here, by the id of the action: the help that is opened from here begins with them."""

    def __init__(self) -> None:
        super().__init__()
        self.assessment: Assessment | None = None
        self._missed_at: float | None = None
        """Wall clock of the first sample without the thing."""

    def compose(self) -> ComposeResult:
        self._fit_to_terminal()
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        with Page(id="page"):
            yield from self.parts()
        yield from self.below()
        yield Footer(show_command_palette=False)

    def _fit_to_terminal(self) -> None:
        """Set the classes of the breakpoints before the first frame; Textual does so at the first Resize only."""
        size = self.app.size
        for length, breakpoints in (
            (size.width, self.HORIZONTAL_BREAKPOINTS),
            (size.height, self.VERTICAL_BREAKPOINTS),
        ):
            if reached := [name for least, name in sorted(breakpoints or ()) if length >= least]:
                self.add_class(reached[-1])

    def parts(self) -> Iterable[Widget]:
        """Return the widgets of the page, top to bottom."""
        raise NotImplementedError

    def below(self) -> Iterable[Widget]:
        """Return the widgets between the page and the footer."""
        return ()

    def back(self) -> bool:
        """Clear the filter and return True; False if there is none, and Esc leaves the page."""
        return False

    def draw(self, assessment: Assessment) -> None:
        """Update every widget; all of them are mounted."""
        raise NotImplementedError

    def on_mount(self) -> None:
        if self.assessment:
            self.draw(self.assessment)

    def show(self, assessment: Assessment) -> None:
        """Take a new Assessment; it is drawn once the page is mounted."""
        self.assessment = assessment
        if self.is_mounted:
            self.draw(assessment)

    def answer(self, detail: Detail) -> None:
        """Ignore the answer: only a PollingScreen asks."""

    @property
    def wide(self) -> bool:
        """Whether panels are side by side; known before the first layout."""
        return self.app.size.width >= WIDE_COLUMNS

    def on_resize(self) -> None:
        if self.assessment and self.is_mounted:
            self.draw(self.assessment)

    def set_title(self, title: Text, note: str = "") -> None:
        """Show what this is, and in the corner a note."""
        self.query_one("#title", LabelledList).show(Labelled("", title))
        corner = self.query_one("#corner", LabelledList)
        corner.display = bool(note)
        corner.show(Labelled("", Text(note, "muted", justify="right")))

    def fit_row(self, row: str, *tables: Table[Any]) -> None:
        """Make a row of tables as high as the longest of them needs, or each as high as it needs."""
        box = self.query_one(row)
        self.fit_stacked(*tables)
        if not self.wide:
            box.styles.clear_rule("height")
            return
        lines = max(max(len(table.rows), 1) + table.heading for table in tables)
        box.styles.height = min(lines, MAX_ROW_LINES) + 2

    def fit_stacked(self, *tables: Table[Any]) -> None:
        """Make each table as high as it needs, if they are below each other."""
        for table in tables:
            if self.wide:
                table.styles.clear_rule("height")
            else:
                table.styles.height = min(max(len(table.rows), 1) + table.heading, MAX_STACKED_LINES) + 2

    def missing_since(self, there: bool, assessment: Assessment) -> str | None:
        """Return `since HH:MM:SS` if the thing is not `there`: the first time that it was missed."""
        if there:
            self._missed_at = None
            return None
        self._missed_at = self._missed_at or assessment.snapshot.wall
        return f"since {clock_time(self._missed_at)}"

    @property
    def sockmon(self) -> AppContext:
        """The app, as pages know it."""
        return app_context(self)

    @property
    def netns_inode(self) -> int | None:
        """The inode of the network namespace that the page is about; None: that of the main screen."""
        return None

    def open_detail(self, query: DetailQuery | SocketsPlace) -> None:
        """Open the page of a row, or the list of sockets."""
        self.sockmon.open(query)

    def on_table_opened(self, event: Table.Opened) -> None:
        """Open the page of a row, or show a message that says what the row is."""
        found = self.opens(event.table, event.row)
        if isinstance(found, str):
            self.sockmon.show_message(found, "information")
        elif found is not None:
            self.open_detail(found)

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | SocketsPlace | str | None:
        """Return the page of a row, or a message if it has none; None if there is no more to do."""
        assert self.assessment is not None
        snapshot = self.assessment.of(self.netns_inode).snapshot
        if isinstance(row, Socket) and (key := self._key_of(row)):
            return SocketQuery(key)
        owner = row.owner if isinstance(row, Socket) else row
        if isinstance(owner, Owner):
            return ProcessQuery(owner.pid, owner.start)
        if isinstance(row, Socket):
            return socket_target(row, snapshot)
        if isinstance(row, Listener):
            netns = netns_of(row, snapshot)
            return ListenerQuery(netns, row.inode) if netns is not None else LISTENER_GONE
        return "no page for this row"

    def _key_of(self, row: Socket) -> SocketKey | None:
        """Return which socket it is; None if nobody can be asked about it, as with a recording."""
        netns = self.netns_inode
        return socket_key(row, netns) if netns and self.sockmon.source.live else None


def clock_time(wall: float, seconds: bool = True) -> str:
    """Return seconds since the epoch as local time: `14:01:50`."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%M", time.localtime(wall))


def severity_text(value: Severity) -> Text:
    """Return `✖ HIT`: glyph, word and colour."""
    look = SEVERITY_STYLES[value]
    return Text(look.glyph if look.glyph == look.word else f"{look.glyph} {look.word}", look.style)
