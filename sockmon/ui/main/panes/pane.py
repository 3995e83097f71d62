"""The base of all panes: a titled frame around tables, which draws a View."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import on
from textual.content import Content

from sockmon.assess import Assessment, Key
from sockmon.assess.time_series import resample
from sockmon.model.detail import DetailQuery
from sockmon.model.report import Reading
from sockmon.model.snapshot import Netns
from sockmon.ui.filtering.filter import Filter
from sockmon.ui.main.header import dump_age
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.sparkline import sparkline
from sockmon.ui.widgets.table import Table

TREND_SECONDS = 120.0


class View(NamedTuple):
    """What a pane draws."""

    assessment: Assessment
    netns: Netns | None
    """The network namespace that is shown; None if none could be read."""
    filter: Filter

    def trend(self, key: Key, width: int, style: str = "spark") -> Text:
        """Return the last two minutes of a number as a sparkline: a cell a sample, until `width` is full."""
        points = self.assessment.series.get(key, ())
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


class Pane(Frame):
    """A pane of the main screen; `NAME` is its id and the argument of its key's action."""

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    NUMBER: ClassVar[int]

    def __init__(self) -> None:
        title = Content.assemble((f"{self.NUMBER}", "bold"), f" {self.TITLE}")
        super().__init__(title, id=self.NAME, classes="pane")

    def on_mount(self) -> None:
        super().on_mount()
        for table in reversed(self.query(Table)):
            self._name_order(table)

    @on(Table.Arranged)
    def _sorted(self, event: Table.Arranged) -> None:
        self._name_order(event.table)

    def _name_order(self, table: Table[Any]) -> None:
        order = f" by {table.order}" if table.order else ""
        self.border_title = Content.assemble((f"{self.NUMBER}", "bold"), f" {self.TITLE}", (order, "dim"))

    def show(self, view: View) -> None:
        """Draw a View."""
        raise NotImplementedError

    def target(self, row: Any) -> DetailQuery | Jump:
        """Return what a row of this pane opens, or where it leads."""
        raise NotImplementedError

    def filter_notes(self, view: View) -> Iterator[Text]:
        """Yield which terms of the filter the tables ignore, and how many rows match."""
        tables = list(self.query(Table))
        ignored = list(dict.fromkeys(table.listed.ignored_terms for table in tables if view.filter))
        if len(ignored) == 1:
            yield Text(ignored[0], "sev-warning")
        else:
            for table in tables:
                if table.listed.ignored_terms:
                    yield Text(f"{table.id} {table.listed.ignored_terms}", "sev-warning")
        if len(tables) == 1:
            yield Text(tables[0].matching, "accent")
