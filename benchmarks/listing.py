"""All benchmarks, in the order of the page."""

from __future__ import annotations

from benchmarks import (
    check_report,
    conntrack_walk,
    first_paint,
    live_screen,
    namespaces,
    process_table,
    screen_bytes,
    socket_dump,
    socket_list,
)
from benchmarks.benchmark import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    check_report.BENCHMARK,
    first_paint.BENCHMARK,
    live_screen.BENCHMARK,
    screen_bytes.BENCHMARK,
    socket_dump.BENCHMARK,
    socket_list.BENCHMARK,
    process_table.BENCHMARK,
    conntrack_walk.BENCHMARK,
    namespaces.BENCHMARK,
)
BY_NAME = {benchmark.name: benchmark for benchmark in BENCHMARKS}
