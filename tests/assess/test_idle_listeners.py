"""Accept queues are not measured again while all are empty, and the report is the same as if they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sockmon.assess.assessor import Assessor
from sockmon.assess.time_series import value_at
from sockmon.ceilings.listener_drops import DROPS, OVERFLOWS
from sockmon.ceilings.queues import ACCEPT_QUEUE
from sockmon.model.snapshot import Snapshot
from tests.snapshots import listener, netns, snapshot

ALWAYS = replace(ACCEPT_QUEUE, change_key=None)


def stream(seed: int) -> Iterator[Snapshot]:
    """Two hundred seconds of three listeners that are idle for long, fill, overflow, drop, come and go."""
    draw = random.Random(seed)
    queues, overflows, drops, count = [0, 0, 0], 0, 0, 3
    for second in range(200):
        if draw.random() < 0.08:
            queues[draw.randrange(3)] = draw.choice((0, 0, 5, 90, 129))
            overflowed = draw.choice((0, 0, 0, 3))
            overflows, drops = overflows + overflowed, drops + overflowed
        elif draw.random() < 0.3:
            queues = [0, 0, 0]
        if draw.random() < 0.02:
            count = draw.choice((2, 3))
        rows = tuple(
            listener(queues[number], port=8000 + number, inode=100 + number, drops=drops if number == 1 else 0)
            for number in range(count)
        )
        counters = {OVERFLOWS: overflows, DROPS: drops}
        yield snapshot(float(second), netns=(netns(listeners=rows, counters=counters),))


@pytest.mark.parametrize("seed", range(5))
def test_the_report_is_the_same(seed: int) -> None:
    kept, always = Assessor(ceilings=(ACCEPT_QUEUE,)), Assessor(ceilings=(ALWAYS,))
    hits = 0
    for sample in stream(seed):
        one, other = kept.add(sample), always.add(sample)
        assert one.report == other.report
        assert one.gauges == other.gauges
        assert one.series.keys() == other.series.keys()
        for key, points in one.series.items():
            times = range(int(points[0].at), int(sample.at) + 1)
            assert [value_at(points, at) for at in times] == [value_at(other.series[key], at) for at in times]
        hits += any(row.severity == "hit" for row in one.report.readings)
    assert hits


def test_they_are_measured_only_if_something_has_changed() -> None:
    measured = []

    def measure(window: object) -> list[object]:
        measured.append(window)
        return list(ACCEPT_QUEUE.measure(window))  # type: ignore[arg-type]

    counting = replace(ACCEPT_QUEUE, measure=measure)  # type: ignore[arg-type]
    assessor = Assessor(ceilings=(counting,))
    idle = netns(listeners=tuple(listener(0, port=8000 + number, inode=number) for number in range(1, 4)))
    for second in range(5):
        assessor.add(snapshot(float(second), netns=(idle,)))
    # The second sample has a rate that the first one has not.
    assert len(measured) == 2
