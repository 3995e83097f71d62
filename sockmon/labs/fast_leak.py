"""A leak that fills a limit within a minute although most of it is free, and a pool that levels off."""

from __future__ import annotations

from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.files import start_leaky_worker, warm_up
from sockmon.sandbox.scenario import Expect, Lab

LIMIT, USED, LEAK = 4000, 1000, 70
PLATEAU, PACE = 1800, 8.0


def _build(builder: LabBuilder) -> None:
    start_leaky_worker(builder.workers, USED, LIMIT, LEAK)


def _build_warm_up(builder: LabBuilder) -> None:
    builder.start("pool", partial(warm_up, PLATEAU, LIMIT, PACE))


LAB = Lab(
    name="fast-leak",
    ceiling="process-fds",
    title="a leak that fills the limit within a minute",
    scenario="A worker has a quarter of its 4,000 descriptors open, and opens 70 more every second.",
    what_to_see="open files of leaky-worker: a warning below half, with the time left",
    claim="a limit that is far away and met within a minute is an alarm",
    build=_build,
    expect_first=Expect(
        "process-fds", r"^leaky-worker\[\d+\]$", (USED, LIMIT - 1), (LIMIT, LIMIT), ("warning", "critical")
    ),
    check_seconds=4.0,
)

WARM_UP = Lab(
    name="warm-up",
    ceiling=None,
    title="a pool that warms up",
    scenario="A pool opens 1,800 of its 4,000 descriptors, 200 per second at first and then fewer and fewer.",
    what_to_see="no alarm: open files grow fast and level off below half of the limit",
    claim="growth that slows down and ends below the limit raises no alarm",
    build=_build_warm_up,
    expect_first=None,
    check_seconds=10.0,
)
