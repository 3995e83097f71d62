"""Healthy here: the connections of a gateway are in another network namespace, which is named and not sampled."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox import namespaces
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.loads.port_numbers import DATABASE, WEB
from sockmon.sandbox.scenario import Lab
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
    ceiling=None,
    title="a full range of ports in another network namespace",
    scenario="A gateway has used up the ephemeral ports of a namespace of its own; sockmon samples another one.",
    what_to_see="no alarm, and in the header: 1 other network namespace is not sampled",
    claim="limits of network namespaces that are not sampled are never called fine",
    build=_build,
    expect_first=None,
    # The host may have mounted others, which are visible inside.
    expect_unjudged="other network namespace",
    check_seconds=2.0,
)
