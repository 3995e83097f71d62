"""A proxy that uses more than half of its ports: nothing fails, but each connect() searches through thousands."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from time import monotonic

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import connect_and_hold, split_by_process
from sockmon.sandbox.loads.port_numbers import DATABASE
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK, connect, limit_port_range, listen

PORTS, HELD, RATE = 10_000, 5_600, 150


def _database(listener: socket.socket, kept: int) -> Iterator[float]:
    """Keep the connections of the pool; close the short ones first, so that no client port is in TIME_WAIT."""
    held = [listener.accept()[0] for _ in range(kept)]
    yield 0.0
    while held:
        listener.accept()[0].close()


def _short_connections() -> Iterator[float]:
    yield 0.0
    start, made = monotonic(), 0
    while True:
        while made < RATE * (monotonic() - start):
            with connect(LOOPBACK, DATABASE) as client:
                client.recv(1)
            made += 1
        yield 0.01


def _build(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    with listen(DATABASE) as listener:
        for part in split_by_process(HELD):
            builder.start("database", partial(_database, listener, part))
    for part in split_by_process(HELD):
        builder.start("proxy", partial(connect_and_hold, LOOPBACK, DATABASE, part))
    builder.wait()
    builder.start("proxy-new", _short_connections)


LAB = Lab(
    name="slow-connects",
    ceiling="ephemeral-ports",
    title="connects that get slow long before they fail",
    scenario="A proxy holds 5,600 of 10,000 ports to one database, and opens 150 short connections per second.",
    what_to_see="ports to 127.0.0.1:5432 at 56 %: a warning, connect() is ten times slower",
    claim="beyond half of the range new connections are slow, long before any fails",
    build=_build,
    expect_first=Expect(
        "ephemeral-ports",
        r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$",
        (HELD, HELD + RATE),
        (PORTS, PORTS),
        ("warning",),
        "application",
    ),
    expect_no_alarm=("process-fds", "accept-queue", "time-wait-buckets", "tcp-memory", "conntrack-table"),
    check_seconds=4.0,
)
