"""A plot of a number over time: a braille area, its limit a dashed line."""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from sockmon.assess import Point
from sockmon.format import count, duration
from sockmon.model.severity import Severity
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.widgets.lines import line_strip, repaint

SPAN_SECONDS = (15, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds that the plot can show; it uses the smallest span that holds all points."""
MIN_CELLS = 4
"""Minimum lines of a plot, and minimum cells next to its labels."""
OWN_SCALE_RATIO = 0.02
"""Below this share of the limit the plot is scaled to the peak of the points, and a caption shows that."""


class PlotStyle(NamedTuple):
    """The style names of the plot."""

    area: str = "spark"
    limit: str = "muted"
    axis: str = "muted"


DEFAULT = PlotStyle()


class Sampling(NamedTuple):
    """What is known about points that were sampled at even distances, also while there are few of them."""

    span: float
    """Seconds that the plot shows, whatever is known of them."""
    step: float
    """Seconds between two points: where there are more, nothing was sampled."""


class _Scale(NamedTuple):
    """The scale: the value at the top, the rows above the line of the limit (None without a line) and below it."""

    top: float
    limit: int | None
    above: int | None
    below: int
    caption: str


def plot(
    points: Sequence[Point],
    limit: int | None,
    width: int,
    height: int,
    now: float,
    style: PlotStyle = DEFAULT,
    sampling: Sampling | None = None,
) -> list[Text]:
    """Return `points` (oldest first, CLOCK_BOOTTIME) as `height` lines of `width` cells that end at `now`.

    The last line is the time axis. Without `sampling` it begins with the points, and a hole of more than three
    usual steps between points stays empty. A known zero is drawn as a thin line. Below `OWN_SCALE_RATIO` of the
    limit a caption line gives the scale."""
    small = [Text("…"[:width], style=style.axis)] * max(0, height)
    if height < MIN_CELLS:
        return small
    scale = _scale(points, limit, height)
    captions = [Text(scale.caption, style=style.axis, no_wrap=True)] if scale.caption else []
    labels = _labels(scale)
    gutter = max(len(label) for label in labels)
    columns = width - gutter - 2
    if columns < MIN_CELLS:
        return small
    span = _span(points, now, sampling)
    values = _columns(points, now, span, columns * DOTS_ACROSS, sampling)
    rows = _area(values, scale, columns, style)
    lines = [
        Text.assemble((f"{label:>{gutter}} ", style.axis), ("┤" if label else "│", style.axis), row)
        for label, row in zip(labels, rows, strict=True)
    ]
    axis = Text.assemble((f"{'0':>{gutter}} ┼", style.axis), _time_axis(span, columns, style))
    fitted = [*captions, *lines, axis]
    for line in fitted:
        line.truncate(width, overflow="ellipsis")
    return fitted


def _scale(points: Sequence[Point], limit: int | None, height: int) -> _Scale:
    peak = max((point.value for point in points), default=0.0)
    rows = height - 1
    if not limit or limit < 0:
        return _Scale(peak or 1.0, None, None, rows, "")
    if 0 < peak < OWN_SCALE_RATIO * limit:
        caption = f"scaled to its own peak; limit {count(limit)} is {round(limit / max(peak, 1)):,}× higher"
        return _Scale(peak, limit, None, rows - 1, caption)
    rows -= 1
    above = min(rows - 1, round(rows * (1 - limit / peak))) if peak > limit else 0
    return _Scale(max(peak, limit), limit, above, rows - above, "")


def _labels(scale: _Scale) -> list[str]:
    """Return the label of each line above the axis: the top, the limit, half of it."""
    rows = scale.below + (scale.above or 0) + (scale.above is not None)
    labels = [""] * rows
    labels[0] = count(math.ceil(scale.top))
    base = scale.limit if scale.above is not None and scale.limit else scale.top
    if scale.above is not None and scale.limit:
        labels[scale.above] = count(scale.limit)
    if scale.below >= 4 and base >= 2:
        labels[rows - scale.below // 2] = count(round(base / 2))
    return labels


def _span(points: Sequence[Point], now: float, sampling: Sampling | None) -> float:
    if sampling is not None:
        return sampling.span
    needed = now - points[0].at if points else 0.0
    return next((span for span in SPAN_SECONDS if span >= 0.95 * needed), SPAN_SECONDS[-1])


def _columns(
    points: Sequence[Point], now: float, span: float, columns: int, sampling: Sampling | None
) -> list[float | None]:
    """Return the highest value in each column; between points it is interpolated, unless the gap is too wide.

    The grid is aligned to the clock, not to `now`, so that a moving plot keeps its shape."""
    step = span / columns
    end = math.ceil(now / step - 1e-6) * step
    times = [point.at for point in points]
    gap = _gap(times) if sampling is None else SAME_STEP * sampling.step
    return [_value(points, times, end - (columns - i) * step, step, gap, now) for i in range(columns)]


SAME_STEP = 1.1
"""Steps up to which two points follow each other."""


def _gap(times: Sequence[float]) -> float:
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    return max(3 * statistics.median(steps), 2.0) if steps else 2.0


def _value(
    points: Sequence[Point], times: Sequence[float], begin: float, step: float, gap: float, now: float
) -> float | None:
    first, last = bisect_left(times, begin), bisect_right(times, begin + step)
    if first < last:
        return max(point.value for point in points[first:last])
    if first == 0 or begin > now:
        return None
    before = points[first - 1]
    if first == len(points):
        return before.value if begin - before.at <= gap else None
    after = points[first]
    if after.at - before.at > gap and after.value != before.value:
        # Of a constant stretch only the ends are stored; a long time between different values is a gap.
        return None
    share = (begin + step / 2 - before.at) / (after.at - before.at)
    return before.value + (after.value - before.value) * min(max(share, 0.0), 1.0)


_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
DOTS_ACROSS, DOTS_DOWN = 2, 4
"""Dots of a braille cell."""


def _area(values: Sequence[float | None], scale: _Scale, columns: int, style: PlotStyle) -> list[Text]:
    """Return the lines above the axis, top first, without labels."""
    limit = scale.limit if scale.above is not None else None
    under = [_dots(value, limit or scale.top, scale.below * DOTS_DOWN) for value in values]
    rows = [_row(under, row, columns, style) for row in reversed(range(scale.below))]
    if limit is None or scale.above is None:
        return rows
    excess = [None if value is None else max(0.0, value - limit) for value in values]
    over = [
        round(value / (scale.top - limit) * scale.above * DOTS_DOWN) if value and scale.above else 0
        for value in excess
    ]
    top = [_row(over, row, columns, style) for row in reversed(range(scale.above))]
    return [*top, _limit_line(excess, columns, limit, style), *rows]


def _dots(value: float | None, top: float, dots: int) -> int:
    """Return the height of `value` in dots: at least one if it is known, all of them only at the top."""
    if value is None:
        return 0
    if value >= top:
        return dots
    return min(max(1, round(value / top * dots)), max(1, dots - 1))


def _row(heights: Sequence[int], row: int, columns: int, style: PlotStyle) -> Text:
    """Return one line of the area; `heights` in dots, `row` counted from the bottom."""
    levels = [min(max(height - row * DOTS_DOWN, 0), DOTS_DOWN) for height in heights]
    pairs = zip(levels[: 2 * columns : 2], levels[1 : 2 * columns : 2], strict=True)
    cells = (chr(0x2800 + _LEFT[left] + _RIGHT[right]) if left or right else " " for left, right in pairs)
    return Text("".join(cells), style=style.area, no_wrap=True)


def _limit_line(excess: Sequence[float | None], columns: int, limit: int, style: PlotStyle) -> Text:
    """Return the line of the limit: dashed, and solid in columns whose value is above it."""
    per_cell = len(excess) // columns
    parts = (excess[cell * per_cell : (cell + 1) * per_cell] for cell in range(columns))
    text = Text("".join("█" if any(part) else "╌" for part in parts), style=style.limit, no_wrap=True)
    word = " limit "
    if columns > 2 * len(word):
        text = Text.assemble(text[: columns // 2], (word, style.limit), text[columns // 2 + len(word) :])
    return text


def _time_axis(span: float, columns: int, style: PlotStyle) -> Text:
    line = ["─"] * columns
    for share in (0.0, 0.5) if columns >= 24 else (0.0,):
        begin = int(columns * share)
        word = f" −{duration(span * (1 - share))} "
        line[begin : begin + len(word)] = word
    line[-4:] = " now"
    return Text("".join(line), style=style.axis, no_wrap=True)


def _moved(points: Sequence[Point], now: float, width: int, sampling: Sampling | None) -> object:
    """Return what differs if a plot of `points` differs: of a constant stretch only the last time is new, which
    moves the plot when the time of a column has passed."""
    span = _span(points, now, sampling)
    ends = (points[0].at, points[-1].value) if points else None
    return len(points), ends, span, now // (span / max(width * DOTS_ACROSS, 1))


class Trend(Widget):
    """The plot as a widget; only changed lines are drawn again."""

    DEFAULT_CSS = "Trend { height: 9; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._points: Sequence[Point] = ()
        self._limit: int | None = None
        self._now = 0.0
        self._severity: Severity = "unknown"
        self._sampling: Sampling | None = None
        self._lines: list[Text] = []
        self._drawn_for: object = None

    def show(
        self,
        points: Sequence[Point],
        limit: int | None,
        now: float,
        severity: Severity,
        sampling: Sampling | None = None,
    ) -> None:
        """Show `points` in the colour of their severity; `now` is on the clock of the points."""
        self._points, self._limit, self._now, self._severity = points, limit, now, severity
        self._sampling = sampling
        self._draw()

    def _plot_style(self) -> PlotStyle:
        limit = "sev-hit" if self._severity == "hit" else "muted"
        return PlotStyle(SEVERITY_STYLES[self._severity].style, limit, "muted")

    def _draw(self) -> None:
        width, height = self.size
        inputs = (
            width,
            height,
            self._limit,
            self._severity,
            _moved(self._points, self._now, width, self._sampling),
        )
        if inputs == self._drawn_for:
            return
        before, self._drawn_for = self._lines, inputs
        self._lines = []
        if width and height:
            self._lines = plot(
                self._points, self._limit, width, height, self._now, self._plot_style(), self._sampling
            )
        repaint(self, before, self._lines)

    def on_resize(self) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        return line_strip(self._lines[y] if y < len(self._lines) else Text(), self)
