"""The base of all panes: a titled frame around tables, which draws a View."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import on
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from sockmon.assess import Assessment, Key, Point
from sockmon.assess.time_series import resample
from sockmon.model.detail import Detail, DetailQuery
from sockmon.model.report import Reading
from sockmon.model.snapshot import Netns
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.filtering.filter import Filter
from sockmon.ui.main.header import dump_age
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.sparkline import sparkline
from sockmon.ui.widgets.table import Table

TREND_SECONDS = 120.0


class View(NamedTuple):
    """What a pane draws."""

    assessment: Assessment
    """That of the chosen namespace alone, or of all together."""
    netns: Netns | None
    """The network namespace that is shown: the chosen one, or the first; None if none could be read."""
    filter: Filter
    whole: Assessment
    """That of all namespaces."""
    chosen: bool = False
    """Whether the user has chosen `netns`, of several."""

    @property
    def every(self) -> tuple[Netns, ...]:
        """All namespaces."""
        return self.whole.snapshot.netns

    @property
    def has_several(self) -> bool:
        """Whether there are several namespaces."""
        return len(self.every) > 1

    @property
    def shown(self) -> tuple[Netns, ...]:
        """The namespaces whose sockets the panes show together: all, or the chosen one."""
        return (self.netns,) if self.chosen and self.netns else self.every

    def only(self, netns: Netns | None) -> View:
        """Return the View of one namespace."""
        if netns is None or len(self.shown) <= 1:
            return self
        return self._replace(assessment=self.whole.of(netns.inode), netns=netns, chosen=True)

    def part(self, netns: Netns) -> Assessment:
        """Return the Assessment with the limits of one namespace."""
        return self.whole.parts.get(netns.inode, self.whole)

    def rate(self, counter: str) -> float | None:
        """Return how fast a counter increases per second, in all shown namespaces; None if it is known of none."""
        found = [self.part(netns).rates.get(("counter", counter)) for netns in self.shown]
        known = [rate for rate in found if rate is not None]
        return sum(known) if known else None

    def trend(self, key: Key, width: int, style: str = "spark") -> Text:
        """Return the last two minutes of a number of one namespace, as `line`."""
        return self.line(self.assessment.series.get(key, ()), width, style)

    def line(self, points: Sequence[Point], width: int, style: str = "spark") -> Text:
        """Return the last two minutes of a number as a sparkline: a cell a sample, until `width` is full."""
        if not points or width < 1:
            return Text(" " * width)
        snapshot = self.assessment.snapshot
        end = snapshot.at
        begin = max(points[0].at, end - TREND_SECONDS)
        cells = min(round((end - begin) / max(snapshot.interval, 0.1)) + 1, width)
        values = resample(points, begin, end, cells) if cells > 1 else [points[-1].value]
        return sparkline(values, width, style)

    def missing(self, *readers: str) -> str:
        """Return why something could not be read: the reason of the first of `readers` that has one."""
        reasons = {missing.reader: missing.reason for missing in self.assessment.snapshot.missing}
        return next((reasons[reader] for reader in readers if reader in reasons), "")

    def aged(self, at: float | None) -> Text:
        """Return `dump 10 s old` for a part that is older than the Snapshot, else nothing."""
        return Text() if at is None else dump_age(self.assessment.snapshot.at - at)


class Jump(NamedTuple):
    """Where a row without a screen of its own leads."""

    message: str
    """What the row is, and where its sockets or entries are listed."""
    table: str = ""
    """Id of the table that lists what the row counts; empty if there is none."""
    filter: str = ""
    sort: str = ""
    """Title of its column to sort by."""
    query: DetailQuery | Reading | None = None
    sockets: SocketsPlace | None = None
    """The list that has the sockets; a recording cannot answer it, and leads to `table` instead."""


class ChooseNetns(NamedTuple):
    """A network namespace that the panes are to show."""

    inode: int
    pane: str
    """The pane that shows what is nearest to its limit there."""


class Pane(Frame):
    """A pane of the main screen; `NAME` is its id and the argument of its key's action."""

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    NUMBER: ClassVar[int]

    def __init__(self) -> None:
        title = Content.assemble((f"{self.NUMBER}", "bold"), f" {self.TITLE}")
        super().__init__(title, id=self.NAME, classes="pane")
        self.tables: tuple[Table[Any], ...] = ()
        """The tables that are always there, from top to bottom."""
        self._place = ""

    async def make_rest(self) -> None:
        """Make what no pane shows before a key is pressed; called after the first board."""

    def on_mount(self) -> None:
        super().on_mount()
        for table in reversed(self.tables):
            self._name_order(table)

    class Appeared(Message):
        """The pane was hidden, and has been laid out."""

    def on_show(self) -> None:
        self.post_message(self.Appeared())

    @on(Table.Passed)
    def _go_past(self, event: Table.Passed) -> None:
        """Go to the next table with rows, where there is one."""
        tables = list(self.query(Table))
        at = tables.index(event.table)
        others = tables[at + 1 :] if event.step > 0 else tables[:at][::-1]
        if (found := next((each for each in others if each.count and each.region), None)) is not None:
            found.focus()
            found.move(0 if event.step > 0 else found.count - 1)

    @on(Table.Arranged)
    def _sorted(self, event: Table.Arranged) -> None:
        self._name_order(event.table)

    def _name_order(self, table: Table[Any]) -> None:
        order = f" by {table.order}" if table.order else ""
        place = f" · {self._place}" if self._place else ""
        title = Content.assemble((f"{self.NUMBER}", "bold"), f" {self.TITLE}", (place, "bold"), (order, "dim"))
        if title != self.border_title:
            self.border_title = title

    def name_place(self, place: str) -> None:
        """Name in the title the network namespaces that are shown; empty: there is only one."""
        if place != self._place:
            self._place = place
            self._name_order(self.tables[0])

    def place(self, view: View) -> str:
        """Return which network namespaces are shown; empty if there is only one."""
        if view.chosen and view.netns:
            return view.netns.name
        return f"{len(view.every):,} netns" if view.has_several else ""

    def show(self, view: View) -> None:
        """Draw a View."""
        raise NotImplementedError

    def answer(self, detail: Detail) -> None:
        """Take an answer of the agent; most panes ask nothing."""

    def target(self, row: Any) -> DetailQuery | SocketsPlace | Jump | ChooseNetns:
        """Return what a row of this pane opens, or where it leads."""
        raise NotImplementedError

    def tables_in_turn(self) -> list[Widget]:
        """Return the tables that Tab goes through, if this pane is the only one; fewer than two: it goes to the
        next pane."""
        return []

    def filter_notes(self, view: View) -> Iterator[Text]:
        """Yield which terms of the filter the tables ignore, and how many rows match."""
        ignored = list(dict.fromkeys(table.listed.ignored_terms for table in self.tables if view.filter))
        if len(ignored) == 1:
            yield Text(ignored[0], "sev-warning")
        else:
            for table in self.tables:
                if table.listed.ignored_terms:
                    yield Text(f"{table.id} {table.listed.ignored_terms}", "sev-warning")
        if len(self.tables) == 1:
            yield Text(self.tables[0].matching, "accent")
