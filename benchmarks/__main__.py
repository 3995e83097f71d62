"""`python -m benchmarks [NAME…]`: build each state once, run the benchmarks in it, print what they find.

A run of all of them, at full size, also writes `docs/performance.json`, `docs/performance.md` and the numbers that
README.md quotes. It takes about a quarter of an hour, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress

import msgspec

from benchmarks import page, results
from benchmarks.benchmark import Benchmark, Run
from benchmarks.listing import BENCHMARKS, BY_NAME
from benchmarks.machine import load_average, machine
from benchmarks.results import Part, Results, Section
from benchmarks.row import Row
from benchmarks.states import NOTHING, STATES, State, built
from sockmon.errors import SockmonError
from sockmon.sandbox.session import RunningLab
from tests.netns import ROOT, child_environment

NO_LOAD = "no load"
END_SECONDS = 15.0
Parts = dict[tuple[str, str], Part]
"""(benchmark, state) → what it found."""


def main() -> int:
    """Run what argv names, and print it; write the page if that was everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BY_NAME)}; default: all")
    parser.add_argument("--state", choices=[*STATES, NOTHING], help="only in this state")
    parser.add_argument("--quick", action="store_true", help="tiny states and one round, to see that it works")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BY_NAME]:
        parser.error(f"unknown benchmark: {', '.join(unknown)}")
    begin, load = time.time(), load_average()
    chosen = [benchmark for benchmark in BENCHMARKS if not given.names or benchmark.name in given.names]
    parts = dict(_run(chosen, given.state, given.quick))
    sections = tuple(_section(benchmark, parts) for benchmark in chosen)
    if not (given.names or given.state or given.quick):
        date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(begin))
        found = Results(date, (time.time() - begin) / 60, load, machine(), sections)
        results.save(found)
        page.write(found)
        print(f"\nwritten: {', '.join(str(path.relative_to(ROOT)) for path in page.WRITTEN)}")
    return any(part.fault for part in parts.values())


def _section(benchmark: Benchmark, parts: Parts) -> Section:
    found = tuple(parts[benchmark.name, state] for state in benchmark.states if (benchmark.name, state) in parts)
    return Section(benchmark.name, benchmark.title, benchmark.text, found, benchmark.base)


def _run(chosen: Sequence[Benchmark], only: str | None, quick: bool) -> Iterator[tuple[tuple[str, str], Part]]:
    """Yield what each benchmark found in each state; a fault ends that part alone."""
    for name in (NOTHING, *STATES):
        wanted = [benchmark for benchmark in chosen if name in benchmark.states and only in (None, name)]
        if not wanted:
            continue
        full = STATES.get(name, State())
        state = full.smaller() if quick else full.possible()
        smaller = f", of {full} for lack of memory or by a limit" if state != full and not quick else ""
        print(f"\n=== {name}: {f'{state}{smaller}' or NO_LOAD}", flush=True)
        try:
            with built(state, name) if name in STATES else nullcontext() as running:
                for benchmark in wanted:
                    part = _part(benchmark, name, f"{state}{smaller}" or NO_LOAD, running, quick)
                    yield (benchmark.name, name), part
        except SockmonError as error:
            print(f"{name}: {error.message}", file=sys.stderr)
            for benchmark in wanted:
                yield (benchmark.name, name), Part(name, str(state), (), error.message)


def _part(benchmark: Benchmark, name: str, title: str, running: RunningLab | None, quick: bool) -> Part:
    print(f"\n--- {benchmark.title}", flush=True)
    rows: list[Row] = []
    fault = ""
    try:
        for row in _rows(benchmark, Run(name, quick), running):
            rows.append(row)
            print(page.line(row), flush=True)
    except RuntimeError as error:
        fault = str(error)
        print(f"  {fault}", file=sys.stderr, flush=True)
    return Part(name, title, tuple(rows), fault)


def _rows(benchmark: Benchmark, run: Run, running: RunningLab | None) -> Iterator[Row]:
    """Yield the rows of a child process in the state; raise RuntimeError if it fails or takes too long."""
    argv = [sys.executable, "-m", "benchmarks.child", benchmark.name, msgspec.json.encode(run).decode()]
    child = subprocess.Popen(
        running.command(argv) if running else argv,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=ROOT, env=child_environment(),
        start_new_session=True,
    )  # fmt: skip
    try:
        for line in _lines(child, benchmark.seconds):
            yield msgspec.json.decode(line, type=Row)
        if code := child.wait():
            raise RuntimeError(f"it ended with exit code {code}")
    finally:
        _end(child)


def _lines(child: subprocess.Popen[bytes], seconds: float) -> Iterator[bytes]:
    assert child.stdout is not None
    end, rest = time.monotonic() + seconds, b""
    while select.select([child.stdout], [], [], max(end - time.monotonic(), 0.0))[0]:
        if not (chunk := os.read(child.stdout.fileno(), 1 << 16)):
            return
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    raise RuntimeError(f"stopped after {seconds:g} s")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let it remove what it has made; what does not end is killed."""
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(main())
