"""The table of processes: sockmon's in its steady state, psutil, and a plain reader of /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psutil

from benchmarks.benchmark import Benchmark, Run
from benchmarks.measure import Case, Command, in_turn
from benchmarks.row import Row, times_faster
from sockmon.kernel.netlink import run as run_steps
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners

WARM_UP = 40
"""Reads after which no process is young any more."""


def measure(run: Run) -> Iterator[Row]:
    """Yield milliseconds for one table of all processes, and how many times faster ours is."""
    table, owners = ProcessTable(), Owners()
    first = in_turn({"first": ("sockmon, the first read", lambda: table.read(0.0))}, 1)
    for _ in range(WARM_UP):
        rows = table.read(0.0).rows
    first |= in_turn(
        {"walk": ("sockmon, who holds which socket: the first walk", lambda: run_steps(owners.refresh(rows)))}, 1
    )
    cases: dict[str, tuple[str, Case | Command]] = {
        "steady": ("sockmon, steady", lambda: table.read(0.0)),
        "psutil": ("psutil.process_iter(pid, name, num_fds)", _with_psutil),
        "plain": ("plain reader of /proc (status, limits, cgroup, fd)", _plain),
        "again": ("sockmon, who holds which socket: a later walk", lambda: run_steps(owners.refresh(rows))),
    }
    found = in_turn(cases, run.rounds(15)) | first
    yield from found.values()
    yield times_faster("psutil-ratio", "process table, faster than psutil", found["steady"], found["psutil"], 25)
    yield times_faster(
        "plain-ratio", "process table, faster than a plain reader", found["steady"], found["plain"], 30
    )


def _with_psutil() -> None:
    """Read what most Python programs read."""
    for process in psutil.process_iter(["pid", "name", "num_fds"]):
        assert process.info


def _plain() -> None:
    """Read every file, every time."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            for file in ("status", "limits", "cgroup"):
                with open(f"/proc/{name}/{file}", "rb") as stream:
                    stream.read().split(b"\n")
            len(os.listdir(f"/proc/{name}/fd"))
        except OSError:
            continue


BENCHMARK = Benchmark(
    name="process_table",
    title="The table of processes",
    text="The processor time of one table of all processes with their names, descriptors and limits. sockmon"
    " keeps what cannot change in a process, so its first read costs more than the later ones.",
    states=("processes",),
    measure=measure,
    base="steady",
)
