"""A container that can start no more tasks: because of its own limit, and because of one of its parent group."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder, LabCgroup
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.loads.threads import connect_until_refused, serve_with_threads
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import listen

LIMIT = 64


def start_server_in_cgroup(builder: LabBuilder, group: LabCgroup, name: str, port: int) -> None:
    """Start a server called `name` inside `group`, and clients outside that keep asking for one more thread."""
    with listen(port) as listener:
        builder.start(name, partial(_server, listener, group))
    builder.start("clients", partial(connect_until_refused, port))


def _server(listener: socket.socket, group: LabCgroup) -> Iterator[float]:
    group.join()
    yield from serve_with_threads(listener)


def _build(builder: LabBuilder) -> None:
    start_server_in_cgroup(builder, builder.cgroup("pids", "web", max=LIMIT), "app-server", WEB)


def _build_ancestor(builder: LabBuilder) -> None:
    builder.cgroup("pids", "shop", max=LIMIT)
    start_server_in_cgroup(builder, builder.cgroup("pids", "shop/web", max=500), "app-server", WEB)


def _lab(
    name: str,
    group: str,
    build: Callable[[LabBuilder], None],
    title: str,
    scenario: str,
    what_to_see: str,
    claim: str,
) -> Lab:
    return Lab(
        name=name,
        ceiling="cgroup-pids",
        title=title,
        scenario=scenario,
        what_to_see=what_to_see,
        claim=claim,
        build=build,
        expect_first=hit("cgroup-pids", rf"/{group}$", LIMIT, "cgroup", "pids.max"),
        expect_no_alarm=("pid-max", "user-processes", "memory-maps", "process-fds", "accept-queue"),
        needs=("cgroup:pids",),
        recording=f"{name}.jsonl",
        check_seconds=4.0,
    )


LAB = _lab(
    "cgroup-pids",
    "web",
    _build,
    title="a container at its task limit",
    scenario="A container may have 64 tasks (pids.max), and its server starts one thread per connection.",
    what_to_see="tasks of cgroup …/web at 64/64, and refused forks in pids.events",
    claim="the rising counter of the cgroup rules out every other cause of EAGAIN",
)

ANCESTOR = _lab(
    "cgroup-pids-above",
    "shop",
    _build_ancestor,
    title="a container whose slice is at its task limit",
    scenario="A container may have 500 tasks, but its slice has pids.max 64.",
    what_to_see="tasks of cgroup …/shop at 64/64, not those of …/shop/web with 64/500",
    claim="the limit of every ancestor applies, and the one that refuses is reported, wherever it is counted",
)
