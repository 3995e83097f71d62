"""A limit below half that is met within a minute at a steady rate, and growth that ends before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import exp, tanh
from random import Random

import pytest

from sockmon.assess import Assessor
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS
from tests.snapshots import group, listener, netns, ports, process, snapshot

LIMIT = 1000


def watch(used: Callable[[float], float], times: Iterable[float]) -> list[Reading]:
    """The readings of a process whose descriptors grow so."""
    assessor = Assessor()
    reports = [assessor.add(snapshot(at, process(fds=int(used(at)), soft=LIMIT))).report for at in times]
    return [next(row for row in report.readings if row.ceiling == "process-fds") for report in reports]


def seconds(number: int, step: float = 1.0) -> list[float]:
    return [at * step for at in range(number)]


def test_420_of_1000_and_50_a_second_is_full_in_12_seconds() -> None:
    found = watch(lambda at: 120 + 50 * at, seconds(7))[-1]
    assert (found.used, found.severity) == (420, "critical")
    assert found.eta_seconds == pytest.approx(11.6, abs=0.5)
    assert found.rate == pytest.approx(50, abs=2)


def test_a_short_watch_is_enough() -> None:
    found = watch(lambda at: 270 + 50 * at, seconds(5, 0.75))[-1]
    assert (found.used, found.severity) == (420, "critical")


def test_within_a_minute_is_a_warning_and_later_is_none() -> None:
    assert watch(lambda at: 300 + 15 * at, seconds(10))[-1].severity == "warning"
    assert watch(lambda at: 300 + 5 * at, seconds(10))[-1].severity == "ok"
    assert watch(lambda at: 100 + 15 * at, seconds(9))[-1].severity == "ok", "less than a quarter is used"


def test_it_is_one_answer_from_the_alarm_on() -> None:
    severities = [row.severity for row in watch(lambda at: 50 + 30 * at, seconds(33))]
    assert sorted(severities, key=["ok", "warning", "critical", "hit"].index) == severities
    assert severities[7] == "warning"
    assert severities[13] == "critical"
    assert severities[-1] == "hit"


def test_growth_that_begins_after_a_quiet_time_counts_from_there() -> None:
    found = watch(lambda at: 300 + max(0.0, 50 * (at - 120)), seconds(127))[-1]
    assert (found.used, found.severity) == (600, "critical")


def test_growth_that_chance_makes_uneven_is_an_alarm_in_time() -> None:
    late = 0
    for seed in range(40):
        random, used = Random(seed), [100]
        while used[-1] < LIMIT:
            used.append(used[-1] + sum(random.random() < 0.05 for _ in range(800)))
        rows = watch(lambda at, used=used: used[int(at)], seconds(len(used) - 1))  # type: ignore[misc]
        first = next((at for at, row in enumerate(rows) if row.severity in ALARMS), len(rows))
        late += first > len(rows) - 8
    assert late <= 2


@pytest.mark.parametrize("plateau", [400, 600, 750])
@pytest.mark.parametrize("pace", [2.0, 5.0, 8.0, 15.0])
@pytest.mark.parametrize("step", [0.75, 1.0, 2.0])
def test_a_warm_up_that_levels_off_is_no_alarm(plateau: int, pace: float, step: float) -> None:
    rows = watch(lambda at: 10 + plateau * (1 - exp(-at / pace)), seconds(int(80 / step), step))
    assert {row.severity for row in rows} == {"ok"}


def test_a_warm_up_that_stops_at_once_ends_its_alarm_at_once() -> None:
    rows = watch(lambda at: min(500.0, 50 * at), seconds(30))
    assert [row.severity for row in rows[14:]] == ["ok"] * 16


def test_a_warm_up_that_begins_slowly_ends_its_alarm_as_it_levels_off() -> None:
    rows = watch(lambda at: 250 + 250 * tanh((at - 15) / 6), seconds(60))
    assert {row.severity for row in rows[25:]} == {"ok"}


@pytest.mark.parametrize("period", [5, 12, 20])
def test_what_goes_up_and_down_is_no_alarm_from_its_second_turn_on(period: int) -> None:
    rows = watch(lambda at: 300 + 400 * (at % period) / period, seconds(90))
    assert {row.severity for row in rows[period:]} == {"ok"}


def test_a_few_units_of_a_small_limit_are_no_growth() -> None:
    assessor = Assessor()
    for at in range(7):
        report = assessor.add(snapshot(float(at), process(fds=2 + at, soft=16))).report
        assert report.verdict == "ok"


def test_ports_in_time_wait_that_grow_past_the_limit_are_an_alarm_and_those_below_are_none() -> None:
    for rate, alarm in ((300, False), (1000, True)):
        assessor = Assessor()
        for at in range(12):
            used = 300 if at < 2 else rate * at
            full = ports(group(used, time_wait=used, destination="10.0.0.9"), at=float(at))
            report = assessor.add(snapshot(float(at), netns=(netns(ports=full),))).report
        rows = [row for row in report.readings if row.ceiling == "ephemeral-ports"]
        assert any(row.severity in ALARMS for row in rows) == alarm, rate


def watch_queue(lengths: Iterable[int]) -> list[Reading]:
    """The readings of a listener whose accept queue has these lengths, one a second."""
    assessor = Assessor()
    found = []
    for at, length in enumerate(lengths):
        row = listener(queue=length, backlog=64)
        report = assessor.add(snapshot(float(at), netns=(netns(listeners=(row,)),))).report
        found.append(next(reading for reading in report.readings if reading.ceiling == "accept-queue"))
    return found


def test_a_queue_that_nothing_empties_is_an_alarm_before_it_is_full() -> None:
    assert watch_queue(range(0, 40, 6))[-1].severity in ALARMS


def test_bursts_of_a_queue_are_no_growth() -> None:
    assert {row.severity for row in watch_queue([0, 0, 9, 40, 40, 0, 12, 40, 0, 0, 0, 20, 40])} == {"ok"}
