"""`python -m benchmarks.soak [MINUTES]`: does what sockmon holds stay flat while the host changes?

The screen runs for MINUTES (30) on a host on which connections, processes and namespaces come and go, with a
key every few seconds. Memory (PSS), descriptors, threads and the share of a processor of each of its processes are
read every few seconds. What is read in the first third is the warm-up; a number is flat if the median of the last
third exceeds that of the middle one by no more than a part and a slack, which FLAT has. Exit 1 if one is not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from typing import NamedTuple

from benchmarks.benchmark import SOCKMON
from benchmarks.measure import family, name_of, processor_seconds, proportional_memory
from benchmarks.on_terminal import Screen, on_terminal, watch_all
from benchmarks.states import State, built
from sockmon.sandbox.workers import FOREVER
from tests.netns import ROOT, child_environment

HOST = State(sockets=2_000, processes=100, descriptors=10, namespaces=20, churn=FOREVER)
READINGS = 120
"""How often everything is read."""
KEYS = (
    "j",
    "j",
    "2",
    "j",
    "\r",
    "\x1b",
    "3",
    "k",
    "1",
    "b",
    "b",
    "o",
    "\x1b",
    "5",
    "z",
    "z",
    "?",
    "\x1b",
    "/20\r",
    "\x1b",
)
"""One is pressed between two readings: tables, pages, the filter, help."""


class Rule(NamedTuple):
    """When a number is flat."""

    unit: str
    part: float
    slack: float


FLAT = {
    "memory": Rule("MB", 0.03, 0.5),
    "descriptors": Rule("", 0.0, 3),
    "threads": Rule("", 0.0, 1),
    "processor": Rule("%", 0.25, 1.0),
}
Reading = dict[tuple[str, str], float]
"""(process, what) → number."""


def main() -> int:
    """Build the host, and measure inside."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").split("\n")[2])
    parser.add_argument("minutes", nargs="?", type=float, default=30.0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return _soak(60 * given.minutes)
    with built(HOST, "soak") as running:
        argv = [sys.executable, "-m", "benchmarks.soak", "--inside", str(given.minutes)]
        return subprocess.call(running.command(argv), cwd=ROOT, env=child_environment())


def _soak(seconds: float) -> int:
    readings: list[Reading] = []
    pause = max(seconds / READINGS, 1.0)
    end = time.monotonic() + seconds
    with on_terminal("sockmon", SOCKMON) as screen:
        watch_all([screen], 5.0)
        while time.monotonic() < end and not screen.ended:
            before = _seconds_by_name(screen)
            begin = time.monotonic()
            watch_all([screen], pause)
            screen.press(KEYS[len(readings) % len(KEYS)])
            readings.append(_read(screen, before, time.monotonic() - begin))
        if screen.ended:
            print(f"the screen ended after {len(readings)} readings")
            return 1
    return _report(readings, seconds)


def _names(screen: Screen) -> dict[str, int]:
    """Return the processes of the screen that stay, by name; several of one name are numbered."""
    found: dict[str, int] = {}
    for pid in family(screen.process.pid):
        name = name_of(pid)
        # One that reads a namespace and ends is none that could grow.
        if name and name != "sockmon-netns":
            name = "screen" if pid == screen.process.pid else "agent" if name == "sockmon" else name
            found[name if name not in found else f"{name} {pid}"] = pid
    return found


def _seconds_by_name(screen: Screen) -> dict[str, float]:
    return {name: processor_seconds([pid]) for name, pid in _names(screen).items()}


def _read(screen: Screen, before: dict[str, float], elapsed: float) -> Reading:
    found: Reading = {}
    for name, pid in _names(screen).items():
        with suppress(OSError):
            found[name, "memory"] = proportional_memory(pid)
            found[name, "descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
            found[name, "threads"] = len(os.listdir(f"/proc/{pid}/task"))
            found[name, "processor"] = 100 * (processor_seconds([pid]) - before.get(name, 0.0)) / elapsed
    for what in ("memory", "processor"):
        found["all", what] = sum(number for (_, each), number in found.items() if each == what)
    return found


def _report(readings: list[Reading], seconds: float) -> int:
    """Print the medians of each third, and whether the last one is as the middle one."""
    third = len(readings) // 3
    thirds = (readings[:third], readings[third : 2 * third], readings[2 * third :])
    print(f"{seconds / 60:g} minutes, {len(readings)} readings, on {HOST}")
    print(f"{'process':24} {'':12} {'begin':>9} {'middle':>9} {'end':>9}")
    growing = 0
    for name, what in dict.fromkeys(key for reading in readings for key in reading):
        numbers = [[reading[name, what] for reading in part if (name, what) in reading] for part in thirds]
        if not all(numbers):
            continue
        begin, middle, end = map(statistics.median, numbers)
        rule = FLAT[what]
        flat = end <= middle * (1 + rule.part) + rule.slack
        growing += not flat
        numbers_in_words = f"{begin:9.1f} {middle:9.1f} {end:9.1f} {rule.unit:2}"
        print(f"{name:24} {what:12} {numbers_in_words} {'flat' if flat else 'GROWS'}")
    print(f"{growing} numbers grow" if growing else "everything is flat")
    return int(growing > 0)


if __name__ == "__main__":
    sys.exit(main())
