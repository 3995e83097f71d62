"""Growth and time left: outliers, flat stretches, run-length compressed series."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.assess.counters import CounterWindow
from sockmon.assess.eta import seconds_left, slope
from sockmon.assess.time_series import Point, TimeSeries


def line(*values: float, step: float = 1.0) -> list[Point]:
    return [Point(index * step, value) for index, value in enumerate(values)]


def test_a_steady_climb_is_its_own_rate() -> None:
    growth = slope(line(*range(0, 60, 2)), 60.0)
    assert growth is not None
    assert growth.rate == pytest.approx(2.0, rel=0.1)
    assert growth.steady


def test_one_outlier_does_not_make_growth() -> None:
    growth = slope(line(*([10.0] * 20), 900.0, *([10.0] * 20)), 60.0)
    assert growth is not None
    assert growth.rate == 0
    assert not growth.steady


def test_what_oscillates_has_no_time_left() -> None:
    growth = slope(line(*([100.0, 140.0] * 30)), 60.0)
    assert seconds_left(50, growth) is None


def test_one_point_is_not_a_rate() -> None:
    assert slope(line(5.0), 60.0) is None
    assert seconds_left(10, None) is None


def test_only_the_window_counts() -> None:
    points = line(*range(100)) + [Point(100.0 + at, 99.0) for at in range(61)]
    growth = slope(points, 60.0)
    assert growth is not None
    assert growth.rate == 0


@given(st.lists(st.floats(0, 1e9, allow_nan=False), min_size=2, max_size=60), st.floats(1, 600))
def test_the_slope_lies_between_the_extremes(values: list[float], window: float) -> None:
    growth = slope(line(*values), window)
    assert growth is not None
    steps = [0.0, *(later - earlier for earlier in values for later in values)]
    assert min(steps) - 1e-6 <= growth.rate <= max(steps) + 1e-6 or len(values) > 1


def test_a_trail_keeps_a_flat_stretch_by_its_ends() -> None:
    series = TimeSeries(600.0)
    for at in range(100):
        series.add(float(at), 7.0)
    assert series.points == [Point(0.0, 7.0), Point(99.0, 7.0)]


def test_a_trail_forgets_but_keeps_the_value_that_reaches_into_its_window() -> None:
    series = TimeSeries(10.0)
    for at in range(100):
        series.add(float(at), float(at))
    assert series.points[0].at <= 89.0
    assert len(series.points) <= 13


def test_the_same_reading_twice_is_one_point() -> None:
    series = TimeSeries(10.0)
    series.add(1.0, 5.0)
    series.add(1.0, 5.0)
    assert len(series.points) == 1


@pytest.mark.fault("Q10")
def test_a_counter_that_went_backwards_costs_one_tick() -> None:
    counters = CounterWindow(60.0)
    counters.add(0.0, {"a": 100})
    counters.add(1.0, {"a": 130})
    assert counters.deltas() == {"a": 30}
    counters.add(2.0, {"a": 3})
    assert counters.deltas() == {}
    assert counters.rates() == {"a": None}
    counters.add(3.0, {"a": 5})
    assert counters.deltas() == {"a": 2}


@pytest.mark.fault("Q10")
def test_a_counter_that_appears_has_no_rate_yet() -> None:
    counters = CounterWindow(60.0)
    counters.add(0.0, {"a": 1})
    counters.add(2.0, {"a": 5, "b": 7})
    assert counters.rates() == {"a": 2.0, "b": None}
