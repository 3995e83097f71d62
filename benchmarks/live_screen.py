"""What the live screen costs, and over the same seconds htop, btop, glances and `watch -n1 ss -s`."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks.benchmark import SOCKMON, Benchmark, Run
from benchmarks.measure import family, name_of, processor_seconds, proportional_memory
from benchmarks.on_terminal import Screen, on_terminal, watch_all
from benchmarks.row import Goal, Row, part_of
from sockmon.sandbox.namespaces import TOOL_PATH

RIVALS = {
    "htop": ("htop", "-d", "10"),
    "btop": ("btop", "--utf-force"),
    "glances": ("glances", "-t", "1"),
    "watch": ("watch", "-n1", "ss", "-s"),
}
TITLES = {
    "htop": "htop -d 10",
    "btop": "btop (every 2 s)",
    "glances": "glances -t 1",
    "watch": "`watch -n1 ss -s`",
}
WINDOWS, WINDOW_SECONDS = 6, 10.0
WARM_UP_SECONDS = 15.0
FIRST_WINDOWS, FIRST_WINDOW_SECONDS = 4, 30.0
PRESSES = 30
CPU_GOALS: dict[str, tuple[str, float]] = {"10k": ("", 0.0), "1m": ("screen", 1.5)}
AGENT_GOAL = 5.0
MEMORY_GOAL = 60.0
DETACHED = ("sockmon-watch", "sockmon-guard")


def measure(run: Run) -> Iterator[Row]:
    """Yield shares of a processor, bytes, memory and the answer to a key; of a million sockets also the first two
    minutes of the agent, which is when it reads everything for the first time."""
    with ExitStack() as stack:
        ours = stack.enter_context(on_terminal("sockmon", SOCKMON))
        if run.state == "1m":
            yield from _first_minutes(ours, run)
        others = [
            stack.enter_context(on_terminal(name, argv))
            for name, argv in RIVALS.items()
            if shutil.which(argv[0], path=TOOL_PATH)
        ]
        watch_all([ours, *others], run.seconds(WARM_UP_SECONDS))
        screens = [ours, *(screen for screen in others if not screen.ended)]
        yield from _steady(screens, run)
        yield from _memory(screens)
        yield _key_latency(ours, 2 if run.quick else PRESSES)
    for name in sorted(RIVALS.keys() - {screen.name for screen in screens}):
        yield Row(f"{name}-cpu", TITLES[name], "%", note=f"{name} is not installed, or does not run here")


def _first_minutes(ours: Screen, run: Run) -> Iterator[Row]:
    for number in range(FIRST_WINDOWS):
        begin, before = time.monotonic(), processor_seconds(_agents(ours))
        watch_all([ours], run.seconds(FIRST_WINDOW_SECONDS))
        share = 100 * (processor_seconds(_agents(ours)) - before) / (time.monotonic() - begin)
        first, last = (FIRST_WINDOW_SECONDS * (number + each) for each in (0, 1))
        # What it costs to start is in the first minute.
        goal = Goal(AGENT_GOAL) if first >= 60 else None
        yield Row(f"agent-{first:g}", f"agent, {first:g} to {last:g} s after the start", "%", (share,), goal)


def _agents(ours: Screen) -> list[int]:
    """Return the agent: what the launcher has started, under the name of the program itself."""
    return [pid for pid in family(ours.process.pid)[1:] if name_of(pid) == name_of(ours.process.pid)]


def _steady(screens: Sequence[Screen], run: Run) -> Iterator[Row]:
    """Yield the share of each program and of our processes, and the bytes, in windows of the same seconds."""
    ours = screens[0]
    shares: dict[str, list[float]] = {}
    bytes_sent: dict[str, list[float]] = {}
    for _ in range(run.rounds(WINDOWS)):
        begin = time.monotonic()
        parts = _parts(ours)
        used = {screen.name: screen.seconds() for screen in screens}
        used |= {name: processor_seconds(pids) for name, pids in parts.items()}
        sent = {screen.name: screen.sent for screen in screens}
        watch_all(screens, run.seconds(WINDOW_SECONDS))
        elapsed = time.monotonic() - begin
        for screen in screens:
            shares.setdefault(screen.name, []).append(100 * (screen.seconds() - used[screen.name]) / elapsed)
            bytes_sent.setdefault(screen.name, []).append((screen.sent - sent[screen.name]) / elapsed)
        for name, pids in parts.items():
            shares.setdefault(name, []).append(100 * (processor_seconds(pids) - used[name]) / elapsed)
    limited, most = CPU_GOALS[run.state]
    titles = {
        "sockmon": "sockmon, all of its processes",
        "screen": "sockmon, the screen",
        "agent": "sockmon, the agent",
    }
    rows = {
        name: Row(
            f"{name}-cpu", (titles | TITLES)[name], "%", tuple(found), Goal(most) if name == limited else None
        )
        for name, found in shares.items()
    }
    yield from rows.values()
    if "htop" in rows:
        goal = 0.7 if run.state == "10k" else None
        yield part_of("htop-ratio", "processor time of sockmon ÷ htop -d 10", rows["sockmon"], rows["htop"], goal)
    if "glances" in rows:
        yield part_of(
            "glances-ratio", "processor time of sockmon ÷ glances -t 1", rows["sockmon"], rows["glances"]
        )
    if "btop" in rows:
        yield part_of(
            "btop-ratio", "processor time of sockmon ÷ btop, which draws every 2 s", rows["sockmon"], rows["btop"]
        )
    for screen in screens:
        title = TITLES.get(screen.name, screen.name)
        yield Row(f"{screen.name}-bytes", f"{title}: to its terminal", "B/s", tuple(bytes_sent[screen.name]))


def _parts(ours: Screen) -> dict[str, list[int]]:
    return {"screen": [ours.process.pid], "agent": _agents(ours)}


def _memory(screens: Sequence[Screen]) -> Iterator[Row]:
    """Yield what each program holds: what processes share is counted once."""
    ours, *others = screens
    pids = [*family(ours.process.pid), *detached()]
    total = sum(map(proportional_memory, pids))
    mine = Row("sockmon-memory", "sockmon, all of its processes: memory", "MB", (total,), Goal(MEMORY_GOAL))
    yield mine
    agents = _agents(ours)
    for pid in pids:
        name = "the screen" if pid == ours.process.pid else "the agent" if pid in agents else name_of(pid)
        if memory := proportional_memory(pid):
            yield Row(f"memory-{name.replace(' ', '-')}", f"of these, {name}", "MB", (memory,))
    for screen in others:
        memory = sum(map(proportional_memory, family(screen.process.pid)))
        row = Row(f"{screen.name}-memory", f"{TITLES[screen.name]}: memory", "MB", (memory,))
        yield row
        yield part_of(f"{screen.name}-memory-ratio", f"memory of sockmon ÷ {TITLES[screen.name]}", mine, row)


def detached() -> list[int]:
    """Return the processes of ours that are no children of the screen, because they outlive it."""
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [pid for pid in pids if name_of(pid) in DETACHED]


def _key_latency(ours: Screen, presses: int) -> Row:
    """Return the milliseconds from a key to the first byte that it makes the screen send."""
    took = []
    for press in range(presses):
        watch_all([ours], 0.15)
        ours.press("jk"[press % 2])
        first = ours.first_byte(0.5)
        if first is not None:
            took.append(1000 * first)
    return Row("key", "sockmon: from a key to the first byte of the answer", "ms", tuple(took))


BENCHMARK = Benchmark(
    name="live_screen",
    title="The live screen",
    text="Each program on a pseudo-terminal of 120x40, all over the same seconds, in windows of 10 s. The"
    " share is of one processor, with everything that a program has started. Memory is PSS: what"
    " processes share counts once.",
    states=("10k", "1m"),
    measure=measure,
    base="sockmon-cpu",
    seconds=300.0,
)
