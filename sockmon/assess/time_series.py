"""The history of one value: its points in time, and its values at evenly spaced times."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """A value at a time (CLOCK_BOOTTIME seconds)."""

    at: float
    value: float


class TimeSeries:
    """The history of one value, run-length compressed: of a stretch without change only both ends are kept."""

    def __init__(self, keep_seconds: float) -> None:
        self.points: list[Point] = []
        self._keep_seconds = keep_seconds

    def add(self, at: float, value: float) -> None:
        """Add a value. One with the time of the last point, or an earlier time, is the same reading again."""
        points = self.points
        if points and at <= points[-1].at:
            return
        point = Point(at, value)
        if len(points) >= 2 and points[-1].value == value == points[-2].value:
            points[-1] = point
            return
        points.append(point)
        oldest = at - self._keep_seconds
        if points[0].at < oldest and points[1].at <= oldest:
            del points[0]

    def span(self, window: float) -> float:
        """Return the seconds of history inside `window`."""
        return min(self.points[-1].at - self.points[0].at, window) if self.points else 0.0


def resample(points: Sequence[Point], begin: float, end: float, count: int) -> list[float]:
    """Return `count` values (2 or more), evenly spaced in time from `begin` to `end`; `points` has at least
    one."""
    if len(points) <= 2 and points[0].value == points[-1].value:
        return [points[0].value] * count
    step = (end - begin) / (count - 1)
    return [value_at(points, begin + index * step) for index in range(count)]


def value_at(points: Sequence[Point], at: float) -> float:
    """Return the value at the time `at`, interpolated linearly between the points before and after it."""
    after = bisect_left(points, at, key=lambda point: point.at)
    if after == 0 or points[min(after, len(points) - 1)].at <= at:
        return points[min(after, len(points) - 1)].value
    left, right = points[after - 1], points[after]
    return left.value + (right.value - left.value) * (at - left.at) / (right.at - left.at)
