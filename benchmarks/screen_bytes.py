"""What the screen sends over a line: a host on which little changes, and one on which 5 % of the rows do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.benchmark import SOCKMON, Benchmark, Run
from benchmarks.on_terminal import Screen, on_terminal, watch_all
from benchmarks.row import Goal, Row
from benchmarks.states import NOTHING
from tests.work.streams import lines, samples

WARM_UP_SECONDS, WINDOWS, WINDOW_SECONDS = 4.0, 4, 6.0
PROCESSES = 500
CASES = {
    "quiet": ("the screen to its terminal, only the clock changes", 0.0, 300),
    "lively": ("the screen to its terminal, 5 % of 500 rows change", 0.05, 2_500),
}


def measure(run: Run) -> Iterator[Row]:
    """Yield bytes a second on a terminal of 120x40, on which a recording is replayed at its own pace."""
    seconds = int(WARM_UP_SECONDS + WINDOWS * WINDOW_SECONDS) + 10
    with tempfile.TemporaryDirectory() as folder:
        for id, (title, changing, goal) in CASES.items():
            path = Path(folder, f"{id}.jsonl")
            path.write_bytes(b"".join(lines(samples(seconds, PROCESSES, changing))))
            with on_terminal("sockmon", [*SOCKMON, "--from", str(path)]) as screen:
                watch_all([screen], WARM_UP_SECONDS)
                rates = tuple(_rate(screen, run.seconds(WINDOW_SECONDS)) for _ in range(run.rounds(WINDOWS)))
            yield Row(id, title, "B/s", rates, Goal(goal))


def _rate(screen: Screen, seconds: float) -> float:
    before = screen.sent
    watch_all([screen], seconds)
    return (screen.sent - before) / seconds


BENCHMARK = Benchmark(
    name="screen_bytes",
    title="Bytes over a slow line",
    text="What the screen sends to a terminal of 120x40 while a stream with a sample a second is shown. It"
    " sends only the cells that changed.",
    states=(NOTHING,),
    measure=measure,
)
