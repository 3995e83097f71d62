"""A proxy past half of its ports: nothing fails, and each connect() searches through thousands of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from time import monotonic

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.pairs import connect, hold, listen, narrow, parts
from sockmon.labs.loads.places import DATABASE
from sockmon.labs.stage import Stage

PORTS, HELD, RATE = 10_000, 5_600, 150


def _database(listener: socket.socket, kept: int) -> Iterator[float]:
    """Keep the pool's connections; of the short ones be the first to close, so that no port waits."""
    held = [listener.accept()[0] for _ in range(kept)]
    yield 0.0
    while held:
        listener.accept()[0].close()


def _short() -> Iterator[float]:
    yield 0.0
    start, made = monotonic(), 0
    while True:
        while made < RATE * (monotonic() - start):
            with connect("127.0.0.1", DATABASE) as client:
                client.recv(1)
            made += 1
        yield 0.01


def _build(stage: Stage) -> None:
    narrow(PORTS)
    with listen(DATABASE) as listener:
        for part in parts(HELD):
            stage.start("database", partial(_database, listener, part))
    for part in parts(HELD):
        stage.start("proxy", partial(hold, "127.0.0.1", DATABASE, iter([""] * part), part))
    stage.wait()
    stage.start("proxy-new", _short)


LAB = Lab(
    name="slow-connects",
    ceiling="ephemeral-ports",
    title="connects that get slow long before they fail",
    does="A proxy holds 5,600 of 10,000 ports to one database, and opens 150 short connections a second.",
    look="ports to 127.0.0.1:5432 at 56 %: a warning, connect() is ten times slower",
    proves="past half of the range connects are slow before any fails, and only new connections pay for it",
    build=_build,
    first=Expect(
        "ephemeral-ports",
        r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$",
        (HELD, HELD + RATE),
        (PORTS, PORTS),
        ("warning",),
        "application",
    ),
    never=("process-fds", "accept-queue", "time-wait-buckets", "tcp-memory", "conntrack-table"),
    watch=4.0,
)
