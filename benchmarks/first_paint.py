"""The time to the first board with data, and the memory of all processes, against a hello-world of Textual.

    python -m benchmarks.first_paint [--rounds 11] [--settle 15] [--other ../old/.venv/bin/sockmon]

Starts each program in turn on a terminal of 120x40, and takes the time and the processor time, with all child
processes, from exec to the text that it must show. Prints medians, quartiles and ratios; then the memory of each
process of sockmon once its screen has run for `--settle` seconds. `--other` is the command of another installation
to compare with. Root has the processes that make a change, too.
"""

from __future__ import annotations

import argparse
import os
import select
import statistics
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from benchmarks.live_screen import Screen, _children, on_terminal

HELLO = """
from textual.app import App, ComposeResult
from textual.widgets import Static
class Hello(App):
    def compose(self) -> ComposeResult:
        yield Static("hello world")
Hello().run()
"""
DETACHED = ("sockmon-watch", "sockmon-guard")
"""The processes that are no children of the screen: they outlive it."""
TIMEOUT = 30.0


def first_paint(argv: list[str], text: bytes) -> tuple[float, float]:
    """Return the seconds and the processor seconds from exec until `argv` has sent `text` to its terminal."""
    with on_terminal(argv[0], argv) as screen:
        begin = time.monotonic()
        sent = b""
        while text not in sent:
            if time.monotonic() > begin + TIMEOUT or not select.select([screen.terminal], [], [], TIMEOUT)[0]:
                raise TimeoutError(f"{argv} did not show {text!r}")
            sent += os.read(screen.terminal, 1 << 16)
        took = time.monotonic() - begin
        return took, sum(map(processor_seconds, [screen.process.pid, *_children(screen.process.pid)]))


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process (/proc/PID/task/TID/schedstat, nanoseconds)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def memory(screen: Screen, before: set[int]) -> None:
    """Print what each process of a screen holds (/proc/PID/smaps_rollup); `before`: other processes."""
    pids = {screen.process.pid, *_children(screen.process.pid)} | (detached() - before)
    total = [0, 0]
    print("  memory in MB              PSS  private")
    for pid in sorted(pids):
        with suppress(OSError):
            rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
            sizes = {row[0].rstrip(":"): int(row[1]) for row in rows}
            own = [sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]]
            total = [sum(pair) for pair in zip(total, own, strict=True)]
            _print_sizes(Path(f"/proc/{pid}/comm").read_text().strip(), own)
    _print_sizes("all", total)


def _print_sizes(name: str, kilobytes: Iterable[int]) -> None:
    print(f"  {name:20} {'  '.join(f'{size / 1024:7.1f}' for size in kilobytes)}")


def detached() -> set[int]:
    """Return the watchdogs and guards on this host."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text().strip() in DETACHED:
                found.add(int(path.parent.name))
    return found


def main() -> None:
    """Measure in turn, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--settle", type=float, default=15.0)
    parser.add_argument("--other", help="the command of another installation")
    wanted = parser.parse_args()
    commands = {"sockmon": str(Path(sys.executable).parent / "sockmon")}
    if wanted.other:
        commands["other"] = wanted.other
    programs = {"Textual hello-world": ([sys.executable, "-I", "-c", HELLO], b"hello world")}
    programs |= {name: ([command], b"open files") for name, command in commands.items()}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(wanted.rounds):
        for name, (argv, text) in programs.items():
            runs[name].append(first_paint(argv, text))
    hello = [statistics.median(values) for values in zip(*runs["Textual hello-world"], strict=True)]
    print(f"{wanted.rounds} rounds        wall ms (quartiles)       processor ms    ÷ hello-world")
    for name, found in runs.items():
        walls = [1000 * wall for wall, _ in found]
        wall, busy = (statistics.median(values) for values in zip(*found, strict=True))
        low, _, high = statistics.quantiles(walls, n=4) if len(walls) > 1 else 3 * walls
        print(
            f"  {name:20} {1000 * wall:6.0f} ({low:.0f} to {high:.0f})  {1000 * busy:14.0f}"
            f"      {wall / hello[0]:.2f} wall, {busy / hello[1]:.2f} processor"
        )
    for name, command in commands.items():
        before = detached()
        with on_terminal(name, [command]) as screen:
            screen.drain(wanted.settle)
            print(f"{name} after {wanted.settle:.0f} s")
            memory(screen, before)


if __name__ == "__main__":
    main()
