"""A container that may start no more tasks: by its own limit, and by one of a group above it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.pairs import listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.loads.threads import serve_by_threads, until_refused
from sockmon.labs.stage import Group, Stage

LIMIT = 64
NEVER = ("pid-max", "user-processes", "memory-maps", "process-fds", "accept-queue")


def start(stage: Stage, group: Group, name: str, port: int) -> None:
    """A server called `name` inside `group`, and clients outside that keep asking for one more thread."""
    with listen(port) as listener:
        stage.start(name, partial(_server, listener, group))
    stage.start("clients", partial(until_refused, port))


def _server(listener: socket.socket, group: Group) -> Iterator[float]:
    group.join()
    yield from serve_by_threads(listener)


def _build(stage: Stage) -> None:
    start(stage, stage.cgroup("pids", "web", max=LIMIT), "app-server", WEB)


def _build_ancestor(stage: Stage) -> None:
    stage.cgroup("pids", "shop", max=LIMIT)
    start(stage, stage.cgroup("pids", "shop/web", max=500), "app-server", WEB)


LAB = Lab(
    name="cgroup-pids",
    ceiling="cgroup-pids",
    title="a container at its task limit",
    does="A container may have 64 tasks (pids.max), and its server starts a thread for each connection.",
    look="tasks of cgroup …/web at 64/64, and refused forks in pids.events",
    proves="the group's own limit is told from every other cause of EAGAIN by its counter that moves",
    build=_build,
    first=Expect("cgroup-pids", r"/web$", (LIMIT, LIMIT), (LIMIT, LIMIT), ("hit",), "cgroup", "pids.max"),
    never=NEVER,
    needs=("cgroup:pids",),
    recording="cgroup-pids.jsonl",
    watch=4.0,
)

ANCESTOR = Lab(
    name="cgroup-pids-above",
    ceiling="cgroup-pids",
    title="a container whose slice is at its task limit",
    does="A container may have 500 tasks, but the slice that it is in has pids.max 64.",
    look="tasks of cgroup …/shop at 64/64, not those of …/shop/web with 64/500",
    proves="every ancestor's limit applies, and the one that refuses is blamed, wherever the refusal is counted",
    build=_build_ancestor,
    first=Expect("cgroup-pids", r"/shop$", (LIMIT, LIMIT), (LIMIT, LIMIT), ("hit",), "cgroup", "pids.max"),
    never=NEVER,
    needs=("cgroup:pids",),
    recording="cgroup-pids-above.jsonl",
    watch=4.0,
)
