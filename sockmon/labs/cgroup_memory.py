"""A container whose memory is full of what its connections wait for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sockmon.labs.crew import FOREVER
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.pairs import connect, listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.stage import Group, Stage

LIMIT, FULL = 96 << 20, 0.965
"""Bytes, and how much of them it takes: nothing is killed yet."""
BUFFER = 256 << 10


def _server(listener: socket.socket, group: Group, clients: int) -> Iterator[float]:
    """Give each connection a buffer, until the group is nearly full."""
    group.join()
    used = next(
        group.path / name for name in ("memory.current", "memory.usage_in_bytes") if (group.path / name).exists()
    )
    held = [listener.accept()[0] for _ in range(clients)]
    buffers = []
    while _number(used) < FULL * LIMIT:
        buffers.append(b"\1" * BUFFER)
    yield FOREVER
    del held


def _number(path: Path) -> int:
    return int(path.read_text())


def _clients(total: int) -> Iterator[float]:
    held = [connect("127.0.0.1", WEB) for _ in range(total)]
    yield FOREVER
    del held


def _build(stage: Stage) -> None:
    group = stage.cgroup("memory", "web", max=LIMIT)
    with listen(WEB) as listener:
        stage.start("app-server", partial(_server, listener, group, 300))
    stage.start("clients", partial(_clients, 300))


LAB = Lab(
    name="cgroup-memory",
    ceiling="cgroup-memory",
    title="a container almost out of memory",
    does="A container may take 96 MiB, and its server has given nearly all of it to buffers of connections.",
    look="memory of cgroup …/web above 95 %, of which nearly nothing can be taken back",
    proves="what can be taken back does not press; what cannot is an alarm before the kernel kills",
    build=_build,
    first=Expect(
        "cgroup-memory",
        r"/web$",
        (int(0.95 * LIMIT), LIMIT),
        (LIMIT, LIMIT),
        ("critical",),
        "cgroup",
        "memory.max",
    ),
    never=("cgroup-pids", "process-fds", "accept-queue", "tcp-memory"),
    needs=("cgroup:memory",),
    recording="cgroup-memory.jsonl",
)
