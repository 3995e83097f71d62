"""The states in which benchmarks run: each is built once, in private namespaces, and removed with its process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks import loads
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.session import RunningLab, run_lab

QUICK_DIVISOR = 200
"""By how much a state is smaller in a quick run."""


@dataclass(frozen=True)
class State:
    """What a host holds while it is measured."""

    sockets: int = 0
    time_wait: int = 0
    """Of the sockets, those in TIME_WAIT."""
    processes: int = 0
    descriptors: int = 0
    """Of each of these processes."""
    entries: int = 0
    """Of the connection tracking table."""
    namespaces: int = 1
    churn: float = 0.0
    """Seconds for which connections, processes and namespaces come and go."""
    hash_entries: int = 0
    """Of the hash table of its sockets; 0: as many as that of the host."""

    def smaller(self) -> State:
        """Return the state of a quick run."""
        parts = (self.sockets, self.time_wait, self.processes, self.entries)
        sockets, time_wait, processes, entries = (-(-part // QUICK_DIVISOR) for part in parts)
        namespaces = min(self.namespaces, 3)
        descriptors = min(self.descriptors, 10)
        return State(min(sockets, 200), time_wait, processes, descriptors, entries, namespaces, hash_entries=4096)

    def possible(self) -> State:
        """Return what of it this machine has room for."""
        sockets = loads.sockets_possible(self.sockets)
        entries = loads.entries_possible(self.entries)
        return replace(self, sockets=sockets, entries=entries)

    def __str__(self) -> str:
        parts = [
            f"{self.sockets:,} sockets" if self.sockets else "",
            f"{self.time_wait:,} of them in TIME_WAIT" if self.time_wait else "",
            f"{self.processes:,} processes with {self.descriptors} descriptors each" if self.processes else "",
            f"{self.entries:,} tracked flows" if self.entries else "",
            f"{self.namespaces:,} network namespaces" if self.namespaces > 1 else "",
        ]
        return ", ".join(filter(None, parts))


STATES = {
    "10k": State(sockets=10_000, processes=640, descriptors=10),
    "100k": State(sockets=100_000),
    "tw": State(sockets=100_000, time_wait=40_000),
    "1m": State(sockets=1_000_000),
    "processes": State(processes=500, descriptors=100),
    "conntrack": State(entries=500_000),
    "netns200": State(namespaces=200),
    "netns500": State(namespaces=500),
}
"""In the order in which they are built."""
NOTHING = "here"
"""The name of the state of a benchmark that needs none: it runs on this host as it is."""


@contextmanager
def built(state: State, name: str, as_root: bool = os.geteuid() == 0) -> Iterator[RunningLab]:
    """Run a host in that state while the block lasts; raise SockmonError with the reason if it cannot be built.

    `as_root`: without a user namespace, in which there are fewer rights and other costs."""
    lab = Lab(
        name=f"benchmark-{name}",
        ceiling=None,
        title="the state of a benchmark",
        scenario="A host that is measured.",
        what_to_see="nothing",
        claim="nothing",
        build=partial(_build, state),
        expect_first=None,
        needs=("root",) if as_root else (),
    )
    with run_lab(lab) as running:
        yield running


def _build(state: State, builder: LabBuilder) -> None:
    loads.own_hash_table(state.hash_entries)
    parts: tuple[tuple[float, Callable[[], Any]], ...] = (
        (
            state.sockets - state.time_wait,
            lambda: loads.hold_connections(builder, state.sockets - state.time_wait),
        ),
        (state.processes, lambda: loads.hold_processes(builder, state.processes, state.descriptors)),
        (state.entries, lambda: loads.track_flows(builder, state.entries)),
        (state.namespaces - 1, lambda: loads.hold_namespaces(builder, state.namespaces)),
        (state.time_wait, lambda: loads.hold_time_wait(builder, state.time_wait)),
        (state.churn, lambda: loads.churn(builder, state.churn)),
    )
    for wanted, build in parts:
        if wanted:
            build()
