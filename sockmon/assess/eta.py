"""The time until a value reaches its limit: a robust slope, and the seconds left at that slope."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import median
from typing import NamedTuple

from sockmon.assess.time_series import Point, resample, value_at

MAX_SAMPLES = 12
"""Evenly spaced points that a slope is computed from: 66 pairs, cheap for every process every second."""
MIN_TREND_POINTS, MIN_TREND_GROWTH = 4, 3
"""Growth over fewer points, or by fewer units in all, is not a trend."""


class Slope(NamedTuple):
    """Growth of a value."""

    rate: float
    """Units per second."""
    steady: bool
    """True if this is a trend, and three quarters of all pairs of points agree that the value grows."""


FLAT = Slope(0.0, False)
RECENT_SECONDS, RECENT_POINTS = 8.0, 5
"""What is recent: so many seconds, or so many points if they are further apart."""
SIGNIFICANT = 3.0
"""Standard deviations by which the growth of the second half of a stretch is lower than that of the first one, if
units come independently of each other."""


class Climb(NamedTuple):
    """Growth of a value over a stretch of its history, and how much of it each half of the stretch had."""

    slope: Slope
    span: float
    """Seconds of the stretch."""
    first: float
    second: float

    def levels_off_within(self, free: float, significantly: bool = False) -> bool:
        """Return whether growth slows down so much that it ends before `free` more units are used.

        Growth that slows down evenly loses the same share in each half, which gives its sum. `significantly`:
        chance alone does not explain the difference."""
        if self.second >= self.first:
            return False
        if self.second <= 0:
            return True
        if significantly and self.first - self.second <= SIGNIFICANT * sqrt(self.first + self.second):
            return False
        share = self.second / self.first
        return self.second * share / (1 - share) < free


class Trend(NamedTuple):
    """How a value grows."""

    growth: Slope | None = None
    """Of all that is used."""
    effective: Slope | None = None
    """Of what decides the severity."""
    lasting: Slope | None = None
    """Of what does not expire."""
    span: float = 0.0
    """Seconds of history behind these."""
    whole: Climb | None = None
    """Of what decides the severity, over the same seconds."""
    recent: Climb | None = None
    """Of what decides the severity, in its last seconds."""


NO_TREND = Trend()


def slope(points: Sequence[Point], window: float) -> Slope | None:
    """Return the Theil–Sen slope of the last `window` seconds; None for fewer than two points.

    The points may be run-length compressed, so they are resampled evenly first."""
    if len(points) < 2:
        return None
    end = points[-1].at
    begin = max(points[0].at, end - window)
    recent = [point.value for point in points if point.at >= begin]
    if end <= begin or min(recent) == max(recent) == value_at(points, begin):
        return FLAT
    count = min(MAX_SAMPLES, max(len(recent), 2))
    step = (end - begin) / (count - 1)
    values = resample(points, begin, end, count)
    slopes = sorted(
        (values[later] - values[earlier]) / ((later - earlier) * step)
        for earlier in range(count)
        for later in range(earlier + 1, count)
    )
    trend = count >= MIN_TREND_POINTS and values[-1] - values[0] >= MIN_TREND_GROWTH
    return Slope(median(slopes), trend and slopes[len(slopes) // 4] > 0)


def climb(points: Sequence[Point], window: float, stretch: float | None = None) -> Climb | None:
    """Return how the value grew in the last `stretch` seconds (default: all) of a window; None for fewer than two
    points.

    A value that was as high before, in the window or in the first half of the stretch, goes up and down: its
    growth is not steady."""
    seconds = window if stretch is None else stretch
    found = slope(points, seconds)
    if found is None:
        return None
    end = points[-1]
    begin = max(points[0].at, end.at - seconds)
    before, middle, now = resample(points, begin, end.at, 3) if end.at > begin else [end.value] * 3
    if found.steady and _was_as_high(points, end.at - window, (begin + end.at) / 2):
        found = Slope(found.rate, False)
    return Climb(found, end.at - begin, middle - before, now - middle)


def _was_as_high(points: Sequence[Point], begin: float, end: float) -> bool:
    first, last = (bisect_left(points, at, key=lambda point: point.at) for at in (begin, end))
    return any(points[-1].value <= point.value for point in points[first:last])


def recent_climb(points: Sequence[Point], window: float, queue: bool = False) -> Climb | None:
    """Return how the value grew in its last seconds; None for fewer than two points.

    A queue fills and empties between two samples: it grows steadily only if each sample is above the last one."""
    spread = points[-1].at - points[-min(RECENT_POINTS, len(points))].at if points else 0.0
    stretch = min(max(RECENT_SECONDS, spread), window)
    found = climb(points, window, stretch)
    if found and queue and not _always_rises(points, points[-1].at - stretch):
        return found._replace(slope=Slope(found.slope.rate, False))
    return found


def _always_rises(points: Sequence[Point], begin: float) -> bool:
    recent = points[bisect_left(points, begin, key=lambda point: point.at) :]
    return all(before.value < after.value for before, after in pairwise(recent))


def seconds_left(free: float, growth: Slope | None) -> float | None:
    """Return the seconds until `free` units are used up; None unless they are used up steadily."""
    if growth is None or not growth.steady or growth.rate <= 0:
        return None
    return max(free, 0.0) / growth.rate
