"""The puzzle that sockmon was made for: four servers that stop growing at once, each for a reason of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.labs import cgroup_pids, memory_maps
from sockmon.labs.crew import FOREVER
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads import ports
from sockmon.labs.loads.files import keep_accepting
from sockmon.labs.loads.pairs import connect, listen, narrow
from sockmon.labs.loads.places import API, WEB, WORKERS
from sockmon.labs.stage import Stage

PORTS, FILES, TASKS, THREADS = 600, 256, cgroup_pids.LIMIT, 50


def _callers() -> Iterator[float]:
    """As many as the API server may open files: the last of them wait in its queue."""
    held = [connect("127.0.0.1", API) for _ in range(FILES)]
    yield FOREVER
    del held


def _build(stage: Stage) -> None:
    group = stage.cgroup("pids", "workers", max=TASKS)
    narrow(PORTS)
    stage.progress(0.0, "a proxy that takes all ports towards its database")
    ports.ports(stage.crew, PORTS, listener_inside=False)
    stage.progress(0.1, "a server that takes all its descriptors")
    with listen(API) as listener:
        stage.start("api-server", partial(keep_accepting, listener, FILES))
    stage.start("callers", _callers)
    stage.progress(0.2, "a container that takes all its tasks")
    cgroup_pids.start(stage, group, "worker-pool", WORKERS)
    memory_maps.start(stage, "app-server", WEB, THREADS)


LAB = Lab(
    name="four-plateaus",
    ceiling="cgroup-pids",
    title="four servers that all stop growing",
    does="A proxy, an API server, an app server and a worker pool refuse at once, each for a reason of its own.",
    look="four different limits: tasks of a cgroup, memory maps, open files, ports",
    proves="walls that look alike are told apart in one look, in one world",
    build=_build,
    first=Expect("cgroup-pids", r"/workers$", (TASKS, TASKS), (TASKS, TASKS), ("hit",), "cgroup", "pids.max"),
    also=(
        Expect(
            "memory-maps",
            r"^app-server\[\d+\]$",
            (60_000, memory_maps.MOST + 1),
            (60_000, memory_maps.MOST),
            ("hit",),
            "sysctl",
            "vm.max_map_count",
        ),
        Expect(
            "process-fds", r"^api-server\[\d+\]$", (FILES, FILES), (FILES, FILES), ("hit",), "rlimit", "nofile"
        ),
        Expect("ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", (PORTS, PORTS), (PORTS, PORTS), ("hit",)),
    ),
    never=("pid-max", "user-processes", "accept-queue", "conntrack-table", "tcp-memory"),
    needs=("cgroup:pids",),
    recording="four-plateaus.jsonl",
    watch=4.0,
)
