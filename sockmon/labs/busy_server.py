"""Healthy: a busy server that uses half of each limit."""

from __future__ import annotations

from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.loads.traffic import keep_requesting, serve_echo
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.sockets import listen

CLIENTS, LIMIT, BACKLOG = 2000, 4000, 128


def _build(builder: LabBuilder) -> None:
    with listen(WEB, BACKLOG) as listener:
        builder.start("web-server", partial(serve_echo, listener, LIMIT))
    builder.start("clients", partial(keep_requesting, WEB, CLIENTS, requests=400, new_connections=20))


LAB = Lab(
    name="busy-server",
    ceiling=None,
    title="a busy server",
    scenario="2,000 clients use one server, 20 new ones connect per second; half of its descriptors are used.",
    what_to_see="no alarm: open files at 50 %; the accept queue is used and empties",
    claim="half of a limit and a queue that empties raise no alarm",
    build=_build,
    expect_first=None,
    check_seconds=60.0,
)
