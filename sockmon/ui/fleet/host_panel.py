"""What is known of one host: its state, its labels, its nearest limits and their trend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content

from sockmon import format as fmt
from sockmon.assess import Point
from sockmon.fleet.hosts import HostLimit
from sockmon.fleet.ranking import MAX_LIMITS
from sockmon.ui.fleet import cells
from sockmon.ui.fleet.cells import HostRow
from sockmon.ui.fleet.columns import limit_columns
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.trend import Sampling, Trend

GUTTER = 10
PER_CENT = 100


class HostPanel(Horizontal):
    """The limits of a host at the left, the trend of its fullest one at the right."""

    def __init__(self, trend_seconds: float, title: str = "Selected host") -> None:
        """`trend_seconds`: the span of the trends."""
        super().__init__(id="host")
        self._title = title
        self._trend_seconds = trend_seconds

    def compose(self) -> ComposeResult:
        with Frame(Content(self._title), id="about", classes="panel"), Vertical():
            yield LabelledList(GUTTER, id="facts")
            yield Table(limit_columns(160), _key, id="limits", columns_for=limit_columns, flex=11)
        with Frame(Content("Fullest limit"), id="trend", classes="panel"):
            yield Trend()

    def show(self, row: HostRow | None, *notes: Labelled, limits: Sequence[HostLimit] | None = None) -> None:
        """Show a host; None empties the panel. `notes`: what comes below its state. `limits`: all of its limits;
        None: its nearest ones."""
        table = self.query_one("#limits", Table)
        listed = (row.host.limits if row else ()) if limits is None else limits
        self.query_one("#facts", LabelledList).show(*(_facts(row, notes) if row else ()))
        table.empty = "no limit is known" if row else ""
        table.show(listed)
        table.styles.height = "1fr" if limits else min(max(len(listed), 1), MAX_LIMITS) + 1
        trend = self.query_one(Trend)
        host = row.host if row else None
        points = self._points(row) if row else ()
        step = self._trend_seconds / max(len(host.trend) if host else 0, 1)
        sampling = Sampling(self._trend_seconds, step)
        trend.show(points, PER_CENT, 0.0, host.severity if host else "unknown", sampling)
        note = "% of its limit" if points else "no trend yet"
        self.query_one("#trend", Frame).set_note(Text(note, "muted"))
        self.show_age(row)

    def show_age(self, row: HostRow | None) -> None:
        """Show how old the newest sample of the host is, if it is old."""
        old = row is not None and row.age is not None and row.age >= cells.OLD_SECONDS
        note = Text(f"sample {fmt.age(row.age)} old", "sev-warning") if row and old else Text()
        self.query_one("#about", Frame).set_note(note)

    def _points(self, row: HostRow) -> list[Point]:
        values = row.host.trend
        step = self._trend_seconds / len(values) if values else 0.0
        first = -step * (len(values) - 1)
        return [Point(first + step * at, PER_CENT * value) for at, value in enumerate(values) if value is not None]


def _key(limit: HostLimit) -> tuple[str, ...]:
    return limit.ceiling, limit.subject, limit.netns


def _facts(row: HostRow, notes: Sequence[Labelled]) -> Iterator[Labelled]:
    host = row.host
    yield Labelled("Host", Text.assemble((host.name, "strong"), "  ", cells.state_cell(host)))
    yield from notes
    if host.reason:
        yield Labelled("Why", Text(host.reason, "sev-unknown"))
    if host.labels:
        yield Labelled("Labels", cells.labels_text(host.labels))
    if host.unknown:
        yield Labelled("Unknown", Text(f"{fmt.plural(host.unknown, 'limit')} could not be judged", "muted"))
