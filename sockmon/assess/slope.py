"""How fast a value grows, robustly, and how long until it meets its limit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

SAMPLES = 12
"""Evenly spaced points that a slope is computed from: 66 pairs, cheap for every process every second."""
LEAST_POINTS, LEAST_GROWTH = 4, 3
"""Growth that rests on fewer points, or on fewer units in all, is no trend."""


class Point(NamedTuple):
    """A value at a time (CLOCK_BOOTTIME seconds)."""

    at: float
    value: float


class Slope(NamedTuple):
    """Units per second; `steady` when it is a trend, and three quarters of all pairs of points agree on it."""

    rate: float
    steady: bool


FLAT = Slope(0.0, False)


def slope(points: Sequence[Point], window: float) -> Slope | None:
    """The Theil–Sen slope of the last `window` seconds; None with fewer than two points.

    The points may be run-length compressed (a flat stretch kept by its ends): they are sampled evenly first."""
    if len(points) < 2:
        return None
    end = points[-1].at
    begin = max(points[0].at, end - window)
    recent = [point.value for point in points if point.at >= begin]
    if end <= begin or min(recent) == max(recent) == _value_at(points, begin):
        return FLAT
    count = min(SAMPLES, max(len(recent), 2))
    step = (end - begin) / (count - 1)
    values = sampled(points, begin, end, count)
    slopes = sorted(
        (values[later] - values[earlier]) / ((later - earlier) * step)
        for earlier in range(count)
        for later in range(earlier + 1, count)
    )
    trend = count >= LEAST_POINTS and values[-1] - values[0] >= LEAST_GROWTH
    return Slope(median(slopes), trend and slopes[len(slopes) // 4] > 0)


def sampled(points: Sequence[Point], begin: float, end: float, count: int) -> list[float]:
    """`count` values (2 or more), evenly spaced in time from `begin` to `end`; `points` may not be empty."""
    step = (end - begin) / (count - 1)
    return [_value_at(points, begin + index * step) for index in range(count)]


def _value_at(points: Sequence[Point], at: float) -> float:
    """The value at `at`, on the line between its neighbours."""
    after = bisect_left(points, at, key=lambda point: point.at)
    if after == 0 or points[min(after, len(points) - 1)].at <= at:
        return points[min(after, len(points) - 1)].value
    left, right = points[after - 1], points[after]
    return left.value + (right.value - left.value) * (at - left.at) / (right.at - left.at)


def seconds_left(headroom: float, growth: Slope | None) -> float | None:
    """Time until `headroom` is used up; None where nothing grows, or not steadily."""
    if growth is None or not growth.steady or growth.rate <= 0:
        return None
    return max(headroom, 0.0) / growth.rate
