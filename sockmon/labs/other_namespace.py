"""A gateway in a network namespace of its own, whose limit is judged like those of the namespace we are in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sockmon.sandbox import namespaces
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.loads.port_numbers import DATABASE, WEB
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import LOOPBACK, connect, limit_port_range, listen
from sockmon.sandbox.workers import FOREVER

PORTS = 200


def _gateway() -> Iterator[float]:
    """Use up every ephemeral port of a network namespace of its own."""
    namespaces.enter(user_namespace=False)
    limit_port_range(PORTS)
    held: list[socket.socket] = []
    with listen(DATABASE) as listener:
        for _ in range(PORTS):
            held += [connect(LOOPBACK, DATABASE), listener.accept()[0]]
        yield FOREVER


def _build(builder: LabBuilder) -> None:
    with listen(WEB) as listener:
        builder.start("web-server", partial(hold_open, listener))
    builder.start("gateway", _gateway)


LAB = Lab(
    name="other-namespace",
    ceiling="ephemeral-ports",
    title="a full range of ports in another network namespace",
    scenario="A gateway has used up the ephemeral ports of a namespace of its own; sockmon is in another one.",
    what_to_see="ephemeral ports of the gateway at 200/200; none of our own",
    claim="the limits of every network namespace are judged, not only those of the one that sockmon is in",
    build=_build,
    expect_first=replace(hit("ephemeral-ports", r"127\.0\.0\.1:5432$", PORTS), netns="gateway"),
    expect_no_alarm=("process-fds", "accept-queue", "time-wait-buckets", "tcp-memory"),
    check_seconds=2.0,
)
