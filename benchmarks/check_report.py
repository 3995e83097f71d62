"""How long `sockmon check` takes until its first verdict, and until it is complete."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.benchmark import SOCKMON, Benchmark, Run
from benchmarks.row import Goal, Row

GOALS = {"10k": (None, None), "1m": (2.5, 4.0)}
"""Seconds to the first verdict, and to the end."""


def measure(run: Run) -> Iterator[Row]:
    """Yield seconds: duration as a person waits, and processor time."""
    checks = [_check() for _ in range(run.rounds(3))]
    first, whole = (Goal(goal) if goal else None for goal in GOALS[run.state])
    yield Row(
        "first", "`sockmon check`: until the first verdict", "s", tuple(check.first for check in checks), first
    )
    yield Row("whole", "`sockmon check`: until it is complete", "s", tuple(check.whole for check in checks), whole)
    yield Row("cpu", "`sockmon check`: processor time", "s", tuple(check.used for check in checks))
    yield Row("memory", "`sockmon check`: largest memory (RSS)", "MB", tuple(check.memory for check in checks))


class _Check(NamedTuple):
    first: float
    whole: float
    used: float
    memory: float


def _check() -> _Check:
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen([*SOCKMON, "check"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        first = child.stdout.read(1)
        first_at = time.perf_counter()
        child.stdout.read()
    end = time.perf_counter()
    if not first or child.returncode > 3:
        raise RuntimeError(f"check ended with {child.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Check(first_at - begin, end - begin, used, after.ru_maxrss / 1024)


BENCHMARK = Benchmark(
    name="check_report",
    title="One report: sockmon check",
    text="`check` starts, reads every limit of the host and prints what it found. It takes a second sample"
    " where a verdict needs one. Durations depend on what else the machine does; processor time does so"
    " less.",
    states=("10k", "1m"),
    measure=measure,
)
