"""A proxy that has taken every local port towards one database."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads import ports
from sockmon.labs.loads.pairs import connect, narrow
from sockmon.labs.loads.places import DATABASE
from sockmon.labs.stage import Stage

PORTS = 200
MORE = 100
"""Connections that the proxy would open besides, if it could."""


def _one_more() -> Iterator[float]:
    """A pool that wants to grow, and is told EADDRNOTAVAIL each time; it grows where the wall is moved."""
    pool: list[socket.socket] = []
    while True:
        try:
            pool.append(connect("127.0.0.1", DATABASE))
        except OSError as refused:
            if refused.errno != errno.EADDRNOTAVAIL:
                raise
        # A pool of its full size waits.
        while len(pool) >= MORE:
            yield 1.0
        yield 0.2


def _build(stage: Stage) -> None:
    narrow(PORTS)
    ports.ports(stage.crew, PORTS, listener_inside=False)
    stage.wait()
    stage.start("proxy-retry", _one_more)


LAB = Lab(
    name="ephemeral-ports",
    ceiling="ephemeral-ports",
    title="a proxy without ports",
    does="A proxy holds 200 connections to one database, and the port range has 200 ports.",
    look="ports towards 127.0.0.1:5432 at 200/200: connect() fails, EADDRNOTAVAIL",
    proves="ports are counted towards each destination, and the group that is used up is named with its owner",
    build=_build,
    first=Expect(
        "ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", (PORTS, PORTS), (PORTS, PORTS), ("hit",)
    ),
    never=("process-fds", "accept-queue", "time-wait-buckets", "tcp-memory", "conntrack-table"),
)
