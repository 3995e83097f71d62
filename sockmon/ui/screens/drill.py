"""What the screens that go deeper have in common: a headline, a page that scrolls, Enter into what it lists."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from sockmon.assess import Assessment
from sockmon.model.detail import Detail, Focus, ListenerFocus, ProcessFocus, Socket
from sockmon.model.report import Severity
from sockmon.model.snapshot import Listener, Owner, Snapshot
from sockmon.ui import keys
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.table import Table

if TYPE_CHECKING:
    from sockmon.ui.app import SockmonApp


BACK = replace(next(each for each in keys.bindings("app") if each.id == "back"), show=True)
"""The main screen has nothing to go back to; its footer does not say so."""


class Page(VerticalScroll, can_focus=True):
    """All of a screen below its headline; scrolls by the keys that move in a table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in keys.bindings("table") if (binding.id or "").startswith(("row.", "page."))
    ]

    def action_row(self, lines: int) -> None:
        """Scroll by some lines."""
        self.scroll_relative(y=lines, animate=False)

    def action_leaf(self, pages: int) -> None:
        """Scroll by some pages."""
        self.scroll_relative(y=pages * max(1, self.size.height - 1), animate=False)

    def action_first(self) -> None:
        """Scroll to the top."""
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        """Scroll to the end."""
        self.scroll_end(animate=False)


WIDE = 120
MOST_ROWS = 12
"""Lines of a table in a row of tables, with its heading; the rest scrolls."""


class Drill(Screen[None]):
    """A screen about one thing; draws itself anew from each Assessment."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "Page"

    def __init__(self) -> None:
        super().__init__()
        self.assessment: Assessment | None = None
        self._gone: float | None = None
        """Wall clock when the thing was first not there any more."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="headline"):
            yield Facts(id="title")
            yield Facts(id="aside")
        with Page(id="page"):
            yield from self.parts()
        yield Footer(show_command_palette=False)

    def parts(self) -> Iterable[Widget]:
        """What stands on the page."""
        raise NotImplementedError

    def draw(self, assessment: Assessment) -> None:
        """Show what the Assessment says; every part is mounted."""
        raise NotImplementedError

    def on_mount(self) -> None:
        if self.assessment:
            self.draw(self.assessment)

    def show(self, assessment: Assessment) -> None:
        """A new Assessment; the newest waits where nothing is mounted yet."""
        self.assessment = assessment
        if self.is_mounted:
            self.draw(assessment)

    def answer(self, detail: Detail) -> None:
        """Take an answer; a screen that asks nothing has no use for it."""

    @property
    def wide(self) -> bool:
        """Whether panels stand side by side; known before the screen has been laid out."""
        return self.app.size.width >= WIDE

    def on_resize(self) -> None:
        if self.assessment and self.is_mounted:
            self.draw(self.assessment)

    def head(self, title: Text, aside: str = "") -> None:
        """The headline: what this is, and in the corner what to know about it."""
        self.query_one("#title", Facts).show(Fact("", title))
        corner = self.query_one("#aside", Facts)
        corner.display = bool(aside)
        corner.show(Fact("", Text(aside, "muted", justify="right")))

    def fit_row(self, row: str, *tables: Table[Any]) -> None:
        """Make a row of tables as high as the longest of them needs, where they stand side by side."""
        box = self.query_one(row)
        if not self.wide:
            box.styles.clear_rule("height")
            return
        lines = max(max(len(table.rows), 1) + table.heading for table in tables)
        box.styles.height = min(lines, MOST_ROWS) + 2

    def gone(self, there: bool, assessment: Assessment) -> str | None:
        """`since HH:MM:SS` where the thing is not `there`; it is kept from the first time on that it is missed."""
        if there:
            self._gone = None
            return None
        self._gone = self._gone or assessment.snapshot.wall
        return f"since {clock(self._gone)}"

    @property
    def sockmon(self) -> SockmonApp:
        """The app that this is a screen of."""
        return cast("SockmonApp", self.app)

    def open_focus(self, focus: Focus) -> None:
        """Go deeper."""
        self.sockmon.open(focus)

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter on an owner or a socket opens the process, on a listener the listener."""
        row = event.row.owner if isinstance(event.row, Socket) else event.row
        if isinstance(row, Owner):
            self.open_focus(ProcessFocus(row.pid, row.start))
        elif isinstance(row, Listener) and self.assessment:
            netns = netns_of(row, self.assessment.snapshot)
            if netns is not None:
                self.open_focus(ListenerFocus(netns, row.inode))


def netns_of(listener: Listener, snapshot: Snapshot) -> int | None:
    """Inode of the namespace that the listener is in."""
    for netns in snapshot.netns:
        if any(item.inode == listener.inode for item in netns.listeners or ()):
            return netns.inode
    return None


def clock(wall: float, seconds: bool = True) -> str:
    """Seconds since the epoch as the clock on the wall: `14:01:50`."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%M", time.localtime(wall))


def severity(value: Severity) -> Text:
    """`✖ HIT`: glyph, word and colour."""
    look = LOOKS[value]
    return Text(look.glyph if look.glyph == look.word else f"{look.glyph} {look.word}", look.style)
