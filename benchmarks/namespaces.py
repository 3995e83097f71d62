"""What it costs to watch all network namespaces of a host: `check`, and the agent."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.benchmark import SOCKMON, Benchmark, Run
from benchmarks.measure import processor_seconds, proportional_memory
from benchmarks.row import Row
from sockmon.model.snapshot import Snapshot
from sockmon.sources.wire import read_stream

SECONDS, WARM_UP, WINDOWS = 30.0, 15.0, 3


def measure(run: Run) -> Iterator[Row]:
    """Yield the cost of `check`, then that of an agent after its first seconds."""
    checks = [_check() for _ in range(run.rounds(3))]
    yield Row("check-cpu", "`sockmon check`: processor time", "s", tuple(used for used, _ in checks))
    yield Row("check-wall", "`sockmon check`: duration", "s", tuple(wall for _, wall in checks))
    yield from _agent(run.seconds(WARM_UP), run.seconds(SECONDS) / WINDOWS)


def _check() -> tuple[float, float]:
    """Return processor seconds and duration of one report of all namespaces."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*SOCKMON, "check", "--json"], stdout=subprocess.DEVNULL, check=False)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - begin


def _agent(warm_up: float, window: float) -> Iterator[Row]:
    with subprocess.Popen([*SOCKMON, "agent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            yield from _windows(child, warm_up, window)
        finally:
            child.kill()


def _windows(child: subprocess.Popen[bytes], warm_up: float, window: float) -> Iterator[Row]:
    """Yield shares, bytes and ages of WINDOWS windows of the stream, then what the agent holds at the end."""
    assert child.stdout is not None
    output, taken = child.stdout.fileno(), [0]

    def read(size: int) -> bytes:
        data = os.read(output, size)
        taken[0] += len(data)
        return data

    next_mark = time.monotonic() + warm_up
    marks: list[tuple[float, float, int]] = []
    oldest: list[float] = []
    for line in read_stream(read, "agent"):
        now = time.monotonic()
        if not isinstance(line, Snapshot) or now < next_mark:
            continue
        marks.append((now, processor_seconds([child.pid]), taken[0]))
        oldest.append(max((line.at - netns.at for netns in line.netns if netns.at is not None), default=0.0))
        next_mark = now + window
        if len(marks) > WINDOWS:
            break
    pairs = list(pairwise(marks))
    shares = tuple(100 * (after[1] - before[1]) / (after[0] - before[0]) for before, after in pairs)
    rates = tuple((after[2] - before[2]) / (after[0] - before[0]) for before, after in pairs)
    yield Row("agent-cpu", "agent: share of a processor", "%", shares)
    yield Row("agent-bytes", "agent: its stream", "B/s", rates)
    yield Row("agent-age", "agent: age of the oldest numbers", "s", tuple(oldest[1:]))
    yield Row("agent-memory", "agent: memory", "MB", (proportional_memory(child.pid),))
    yield Row("agent-files", "agent: open files", "", (len(os.listdir(f"/proc/{child.pid}/fd")),))


BENCHMARK = Benchmark(
    name="namespaces",
    title="Hundreds of network namespaces",
    text="Each namespace has a listener, two connections, a UDP and a unix socket. The other tools read"
    " their own namespace alone, so there is no comparison.",
    states=("netns200", "netns500"),
    measure=measure,
)
