"""A container whose memory is filled by the buffers of its connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sockmon.sandbox.builder import LabBuilder, LabCgroup
from sockmon.sandbox.loads.connections import connect_and_hold
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK, listen
from sockmon.sandbox.workers import FOREVER

LIMIT, FILL_RATIO = 96 << 20, 0.965
"""Bytes, and how much of them is used: the kernel does not kill yet."""
BUFFER_BYTES = 256 << 10
CLIENTS = 300


def _server(listener: socket.socket, group: LabCgroup) -> Iterator[float]:
    """Accept the clients, then allocate buffers until the group is nearly full."""
    group.join()
    files = (group.path / name for name in ("memory.current", "memory.usage_in_bytes"))
    used = next(file for file in files if file.exists())
    held = [listener.accept()[0] for _ in range(CLIENTS)]
    buffers = []
    while _read_number(used) < FILL_RATIO * LIMIT:
        buffers.append(b"\1" * BUFFER_BYTES)
    yield FOREVER
    del held


def _read_number(path: Path) -> int:
    return int(path.read_text())


def _build(builder: LabBuilder) -> None:
    group = builder.cgroup("memory", "web", max=LIMIT)
    with listen(WEB) as listener:
        builder.start("app-server", partial(_server, listener, group))
    builder.start("clients", partial(connect_and_hold, LOOPBACK, WEB, CLIENTS))


LAB = Lab(
    name="cgroup-memory",
    ceiling="cgroup-memory",
    title="a container almost out of memory",
    scenario="A container may use 96 MiB, and its server has used nearly all of it for connection buffers.",
    what_to_see="memory of cgroup …/web above 95 %, almost none of it reclaimable",
    claim="reclaimable memory raises no alarm, and other memory raises one before the kernel kills",
    build=_build,
    expect_first=Expect(
        "cgroup-memory",
        r"/web$",
        (int(0.95 * LIMIT), LIMIT),
        (LIMIT, LIMIT),
        ("critical",),
        "cgroup",
        "memory.max",
    ),
    expect_no_alarm=("cgroup-pids", "process-fds", "accept-queue", "tcp-memory"),
    needs=("cgroup:memory",),
    recording="cgroup-memory.jsonl",
)
