"""What all panes are: a titled frame around tables, shown a View."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import on
from textual.content import Content

from sockmon import format as fmt
from sockmon.assess import Assessment, Key
from sockmon.assess.slope import sampled
from sockmon.model.detail import Focus
from sockmon.model.report import Severity
from sockmon.model.snapshot import Netns
from sockmon.ui.filter import Filter
from sockmon.ui.header import dump_age
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.framed import Framed
from sockmon.ui.widgets.sparkline import sparkline
from sockmon.ui.widgets.table import Table

TREND_SECONDS = 120.0
ALARMS = ("hit", "critical", "warning")


class View(NamedTuple):
    """What a pane draws."""

    assessment: Assessment
    netns: Netns | None
    """The namespace that is shown; None: none could be read."""
    filter: Filter

    def trend(self, key: Key, width: int, style: str = "spark") -> Text:
        """The last two minutes of a trail as a sparkline: a cell for each sample until `width` are there, then a
        cell for each part of what has been watched."""
        points = self.assessment.trails.get(key, ())
        if not points or width < 1:
            return Text(" " * width)
        snapshot = self.assessment.snapshot
        end = snapshot.at
        begin = max(points[0].at, end - TREND_SECONDS)
        cells = min(round((end - begin) / max(snapshot.interval, 0.1)) + 1, width)
        values = sampled(points, begin, end, cells) if cells > 1 else [points[-1].value]
        return sparkline(values, width, style)

    def missing(self, *readers: str) -> str:
        """Why something could not be read, by the first of `readers` that has a reason."""
        reasons = {missing.reader: missing.reason for missing in self.assessment.snapshot.missing}
        return next((reasons[reader] for reader in readers if reader in reasons), "")

    def aged(self, at: float | None) -> Text:
        """`dump 10 s old` for a part that is older than the Snapshot, else nothing."""
        return Text() if at is None else dump_age(self.assessment.snapshot.at - at)


class Pane(Framed):
    """A pane of the main screen; `NAME` is its id and the word in its key's action."""

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

    @on(Table.Sorted)
    def _sorted(self, event: Table.Sorted) -> None:
        self._name_order(event.table)

    def _name_order(self, table: Table[Any]) -> None:
        order = f" by {table.order}" if table.order else ""
        self.border_title = Content.assemble((f"{self.NUMBER}", "bold"), f" {self.TITLE}", (order, "dim"))

    def show(self, view: View) -> None:
        """Draw a View."""
        raise NotImplementedError

    def opens(self, row: Any) -> Focus | None:
        """What a row of this pane opens; None: nothing."""
        return None


def left(severity: Severity, ratio: float | None, seconds: float | None) -> float | None:
    """Seconds left until a limit, where they can matter: of a calm gauge below half full they would only alarm."""
    return seconds if severity in ALARMS or (ratio or 0.0) >= 0.5 else None


def gauge(ratio: float | None, width: int, severity: Severity) -> Text:
    """A bar and its per cent, `width` cells with a gap; the number in the severity's colour once it is one."""
    alarm = severity in ALARMS
    percent = Text(fmt.ratio(ratio).rjust(6), style=LOOKS[severity].style if alarm else "")
    return Text.assemble(bar(ratio, width - 6, severity), percent)


def number(value: int | None, style: str = "") -> Text:
    """A count with thousands separated; zero steps back, unknown says so."""
    return Text(fmt.count(value), style="sev-unknown" if value is None else ("faint" if value == 0 else style))
