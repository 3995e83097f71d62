"""The table of processes: ours in its steady state against psutil and against a plain reader of /proc.

    python benchmarks/process_table.py [PROCESSES] [ROUNDS]

Starts sleeping processes with some descriptors each, takes turns, and prints medians of processor time and ratios.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from sockmon.kernel.netlink import run
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners

MOST = 2000
FDS = 100


@contextmanager
def sleepers(count: int) -> Iterator[None]:
    """So many processes that hold FDS descriptors each; they die with this block."""
    pids = []
    reader, writer = os.pipe()
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                held = [os.dup(0) for _ in range(FDS - 5)]
                os.read(reader, 1)  # ends when the parent does
                os._exit(len(held) & 1)
            pids.append(pid)
        yield
    finally:
        os.close(writer)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(reader)


def with_psutil() -> None:
    """What most Python programs do."""
    for process in psutil.process_iter(["pid", "name", "num_fds"]):
        assert process.info


def naive() -> None:
    """Every file, every time."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            for file in ("status", "limits", "cgroup"):
                with open(f"/proc/{name}/{file}", "rb") as stream:
                    stream.read().split(b"\n")
            len(os.listdir(f"/proc/{name}/fd"))
        except OSError:
            continue


def cost(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    begin = time.process_time()
    work()
    return 1000 * (time.process_time() - begin)


def main() -> None:
    """Print the table."""
    count = min(int(sys.argv[1]) if len(sys.argv) > 1 else 300, MOST)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    with sleepers(count):
        time.sleep(0.5)
        table, owners = ProcessTable(), Owners()
        first = cost(lambda: table.read(0.0))
        for _ in range(40):  # until nobody is young any more
            rows = table.read(0.0).rows
        walk = cost(lambda: run(owners.refresh(rows)))
        works: dict[str, Callable[[], object]] = {
            "sockmon, steady": lambda: table.read(0.0),
            "psutil.process_iter(pid, name, num_fds)": with_psutil,
            "plain /proc (status, limits, cgroup, fd)": naive,
            "owners, second walk": lambda: run(owners.refresh(rows)),
        }
        costs: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                costs[name].append(cost(work))
    medians = {name: statistics.median(found) for name, found in costs.items()}
    ours = medians["sockmon, steady"]
    print(f"{len(rows)} processes, {sum(row.fds or 0 for row in rows):,} descriptors, {rounds} rounds")
    for name, median in medians.items():
        print(f"  {name:42} {median:9.2f} ms   {median / ours:6.1f}×")
    print(f"  {'sockmon, first read':42} {first:9.2f} ms   {first / ours:6.1f}×")
    print(f"  {'owners, first walk':42} {walk:9.2f} ms   {walk / ours:6.1f}×")
    print("  targets: psutil ≥ 25×, plain /proc ≥ 30×")


if __name__ == "__main__":
    main()
