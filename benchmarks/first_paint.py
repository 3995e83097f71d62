"""The time to the first board with data, against a hello-world of Textual."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.benchmark import SOCKMON, Benchmark, Run
from benchmarks.measure import family, precise_seconds
from benchmarks.on_terminal import on_terminal
from benchmarks.row import Row, part_of

HELLO = """
from textual.app import App, ComposeResult
from textual.widgets import Static
class Hello(App):
    def compose(self) -> ComposeResult:
        yield Static("hello world")
Hello().run()
"""
PROGRAMS = {"hello": ((sys.executable, "-I", "-c", HELLO), b"hello world"), "sockmon": (SOCKMON, b"open files")}
"""Name → command, and the text that it must show."""
TITLES = {"hello": "hello-world of Textual", "sockmon": "sockmon: the first board with data"}
ROUNDS = 7
TIMEOUT_SECONDS = 30.0
GOAL = 1.15


class _Start(NamedTuple):
    milliseconds: float
    used: float


def measure(run: Run) -> Iterator[Row]:
    """Yield milliseconds from exec to the text, as a person waits and as processors work."""
    starts: dict[str, list[_Start]] = {name: [] for name in PROGRAMS}
    for _ in range(run.rounds(ROUNDS)):
        for name in PROGRAMS:
            starts[name].append(_start(name))
    waits = {
        name: Row(name, TITLES[name], "ms", tuple(each.milliseconds for each in found))
        for name, found in starts.items()
    }
    work = {
        name: Row(f"{name}-cpu", f"{TITLES[name]}, processor time", "ms", tuple(each.used for each in found))
        for name, found in starts.items()
    }
    yield from waits.values()
    yield part_of(
        "ratio", "time to the first board ÷ hello-world of Textual", waits["sockmon"], waits["hello"], GOAL
    )
    yield from work.values()
    yield part_of(
        "cpu-ratio", "processor time to the first board ÷ hello-world of Textual", work["sockmon"], work["hello"]
    )


def _start(name: str) -> _Start:
    argv, text = PROGRAMS[name]
    begin = time.monotonic()
    with on_terminal(name, argv) as screen:
        if not screen.shows(text, TIMEOUT_SECONDS):
            raise RuntimeError(f"{name} did not show {text.decode()!r}")
        took = time.monotonic() - begin
        return _Start(1000 * took, 1000 * precise_seconds(family(screen.process.pid)))


BENCHMARK = Benchmark(
    name="first_paint",
    title="From the command to the first numbers",
    text="The time from the start of the program until its board shows data, and until a program of five"
    " lines that uses Textual, the library that sockmon draws with, shows its text.",
    states=("10k", "1m"),
    measure=measure,
    base="hello",
)
