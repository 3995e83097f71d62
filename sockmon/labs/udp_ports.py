"""A resolver that opens a socket for each query: UDP has one pool of ports for all destinations."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import limit_port_range

PORTS, DNS = 200, 53
SERVERS = ("127.0.0.53", "127.0.0.54")


def _query(number: int) -> socket.socket:
    """Send a query that is never answered, from a new socket."""
    client = socket.socket(type=socket.SOCK_DGRAM)
    client.connect((SERVERS[number % len(SERVERS)], DNS))
    client.send(b"?")
    return client


def _resolver() -> Iterator[float]:
    held = [_query(number) for number in range(PORTS)]
    while True:
        # EAGAIN: no port is left, for any destination.
        with suppress(BlockingIOError):
            held.append(_query(len(held)))
        yield 0.2


def _build(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    for address in SERVERS:
        with socket.socket(type=socket.SOCK_DGRAM) as server:
            server.bind((address, DNS))
            builder.start("dns-server", partial(hold_open, server))
    builder.start("resolver", _resolver)


LAB = Lab(
    name="udp-ports",
    ceiling="udp-ports",
    title="a resolver without free ports",
    scenario="A resolver opens a socket for each query, no reply comes, and the range has 200 ports.",
    what_to_see="UDP ports at 200/200 for both servers together; connect() fails with EAGAIN",
    claim="unbound UDP sockets share one pool of ports for all destinations, and their owner is reported",
    build=_build,
    expect_first=Expect("udp-ports", r".", (PORTS, PORTS), (PORTS, PORTS), ("hit",), "application"),
    expect_no_alarm=(
        "ephemeral-ports",
        "bound-ports",
        "process-fds",
        "udp-memory",
        "user-processes",
        "cgroup-pids",
    ),
)
