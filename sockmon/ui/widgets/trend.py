"""A trail over time as a braille area, with its limit as a dashed line; ASCII where a console has no braille."""

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
from sockmon.model.report import Severity
from sockmon.ui import ascii
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.lines import repaint, strip

SPANS = (15, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds that the plot can show; it takes the smallest that holds the whole trail."""
LEAST = 4
"""Lines, and cells beside the labels, that a plot needs to say anything."""
LOW = 0.02
"""Below this share of the limit the plot takes the trail's own peak as its scale, and says so."""


class Ink(NamedTuple):
    """What the plot is drawn with: names of styles (`ui/styles.py`), and whether the console has braille."""

    area: str = "spark"
    limit: str = "muted"
    axis: str = "muted"
    ascii: bool = False


DEFAULT = Ink()


class _Scale(NamedTuple):
    """How values become rows: the value at the top, rows above the limit's line (None: no line) and below it."""

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
    ink: Ink = DEFAULT,
) -> list[Text]:
    """`points` (oldest first, CLOCK_BOOTTIME) as `height` lines of `width` cells that end at `now`.

    The last line is the time axis. A hole of more than three usual steps between points stays empty; a known
    zero is drawn as a thin line. Below `LOW` of the limit a caption takes one line and says what the scale is."""
    small = [Text("…"[:width], style=ink.axis)] * max(0, height)
    if height < LEAST:
        return small
    scale = _scale(points, limit, height)
    captions = [Text(scale.caption, style=ink.axis, no_wrap=True)] if scale.caption else []
    labels = _labels(scale)
    gutter = max(len(label) for label in labels)
    columns = width - gutter - 2
    if columns < LEAST:
        return small
    span = _span(points, now)
    per_cell = 1 if ink.ascii else 2
    values = _columns(points, now, span, columns * per_cell)
    rows = _area(values, scale, columns, ink)
    lines = [
        Text.assemble((f"{label:>{gutter}} ", ink.axis), ("┤" if label else "│", ink.axis), row)
        for label, row in zip(labels, rows, strict=True)
    ]
    axis = Text.assemble((f"{'0':>{gutter}} ┼", ink.axis), _time_axis(span, columns, ink))
    lines = [_plain(line) if ink.ascii else line for line in [*lines, axis]]
    fitted = [*captions, *lines]
    for line in fitted:
        line.truncate(width, overflow="ellipsis")
    return fitted


def _scale(points: Sequence[Point], limit: int | None, height: int) -> _Scale:
    peak = max((point.value for point in points), default=0.0)
    rows = height - 1
    if not limit or limit < 0:
        return _Scale(peak or 1.0, None, None, rows, "")
    if 0 < peak < LOW * limit:
        caption = f"scaled to its own peak; limit {count(limit)} is {round(limit / max(peak, 1)):,}× higher"
        return _Scale(peak, limit, None, rows - 1, caption)
    rows -= 1
    above = min(rows - 1, round(rows * (1 - limit / peak))) if peak > limit else 0
    return _Scale(max(peak, limit), limit, above, rows - above, "")


def _labels(scale: _Scale) -> list[str]:
    """What stands left of each line but the axis: the top, the limit, its half."""
    rows = scale.below + (scale.above or 0) + (scale.above is not None)
    labels = [""] * rows
    labels[0] = count(math.ceil(scale.top))
    base = scale.limit if scale.above is not None and scale.limit else scale.top
    if scale.above is not None and scale.limit:
        labels[scale.above] = count(scale.limit)
    if scale.below >= 4 and base >= 2:
        labels[rows - scale.below // 2] = count(round(base / 2))
    return labels


def _span(points: Sequence[Point], now: float) -> int:
    needed = now - points[0].at if points else 0.0
    return next((span for span in SPANS if span >= 0.95 * needed), SPANS[-1])


def _columns(points: Sequence[Point], now: float, span: int, columns: int) -> list[float | None]:
    """The highest value in each column; between points the line that joins them, unless the hole is too wide.

    The grid is anchored to the clock, not to `now`: a picture that moves on keeps its shape."""
    step = span / columns
    end = math.ceil(now / step - 1e-6) * step
    times = [point.at for point in points]
    gap = _gap(times)
    return [_value(points, times, end - (columns - i) * step, step, gap, now) for i in range(columns)]


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
        # A flat stretch is kept by its two ends; only between different values is a long silence a hole.
        return None
    share = (begin + step / 2 - before.at) / (after.at - before.at)
    return before.value + (after.value - before.value) * min(max(share, 0.0), 1.0)


_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_ASCII = " .:#"


def _area(values: Sequence[float | None], scale: _Scale, columns: int, ink: Ink) -> list[Text]:
    """The lines above the axis, top first, without labels."""
    steps = 3 if ink.ascii else 4
    limit = scale.limit if scale.above is not None else None
    under = [_dots(value, limit or scale.top, scale.below * steps) for value in values]
    rows = [_row(under, row, columns, ink) for row in reversed(range(scale.below))]
    if limit is None or scale.above is None:
        return rows
    beyond = [None if value is None else max(0.0, value - limit) for value in values]
    over = [
        round(value / (scale.top - limit) * scale.above * steps) if value and scale.above else 0
        for value in beyond
    ]
    top = [_row(over, row, columns, ink) for row in reversed(range(scale.above))]
    return [*top, _limit_line(beyond, columns, limit, ink), *rows]


def _dots(value: float | None, top: float, dots: int) -> int:
    """Dots that `value` is high: at least one where it is known, all of them only where it is at the top."""
    if value is None:
        return 0
    if value >= top:
        return dots
    return min(max(1, round(value / top * dots)), max(1, dots - 1))


def _row(heights: Sequence[int], row: int, columns: int, ink: Ink) -> Text:
    """One line of the area: `heights` in dots, `row` counted from the bottom."""
    steps = 3 if ink.ascii else 4
    levels = [min(max(height - row * steps, 0), steps) for height in heights]
    text = Text(style=ink.area, no_wrap=True)
    for cell in range(columns):
        if ink.ascii:
            glyph = _ASCII[levels[cell]]
        else:
            left, right = levels[2 * cell], levels[2 * cell + 1]
            glyph = chr(0x2800 + _LEFT[left] + _RIGHT[right]) if left or right else " "
        text.append(glyph)
    return text


def _limit_line(beyond: Sequence[float | None], columns: int, limit: int, ink: Ink) -> Text:
    """The limit, dashed; solid where the values are beyond it."""
    per_cell = len(beyond) // columns
    text = Text(no_wrap=True)
    for cell in range(columns):
        broken = any(beyond[cell * per_cell : (cell + 1) * per_cell])
        text.append("█" if broken else "╌", ink.limit)
    word = " limit "
    if columns > 2 * len(word):
        text = Text.assemble(text[: columns // 2], (word, ink.limit), text[columns // 2 + len(word) :])
    return text


def _time_axis(span: int, columns: int, ink: Ink) -> Text:
    line = ["─"] * columns
    for share in (0.0, 0.5) if columns >= 24 else (0.0,):
        begin = int(columns * share)
        word = f" −{duration(span * (1 - share))} "
        line[begin : begin + len(word)] = word
    line[-4:] = " now"
    return Text("".join(line), style=ink.axis, no_wrap=True)


_TO_ASCII = str.maketrans({"┤": "+", "│": "|", "┼": "+", "─": "-", "╌": "-", "█": "#", "−": "-", "×": "x"})


def _plain(line: Text) -> Text:
    line.plain = line.plain.translate(_TO_ASCII)
    return line


class Trend(Widget):
    """The plot as a widget: only lines that changed are drawn again."""

    DEFAULT_CSS = "Trend { height: 9; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._points: Sequence[Point] = ()
        self._limit: int | None = None
        self._now = 0.0
        self._severity: Severity = "unknown"
        self._lines: list[Text] = []

    def show(self, points: Sequence[Point], limit: int | None, now: float, severity: Severity) -> None:
        """A new trail, in the colour of its severity; `now` on the clock of the points."""
        self._points, self._limit, self._now, self._severity = points, limit, now, severity
        self._draw()

    def _ink(self) -> Ink:
        limit = "sev-hit" if self._severity == "hit" else "muted"
        return Ink(LOOKS[self._severity].style, limit, "muted", ascii.needed())

    def _draw(self) -> None:
        width, height = self.size
        before = self._lines
        self._lines = []
        if width and height:
            self._lines = plot(self._points, self._limit, width, height, self._now, self._ink())
        repaint(self, before, self._lines)

    def on_resize(self) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        return strip(self._lines[y] if y < len(self._lines) else Text(), self)
