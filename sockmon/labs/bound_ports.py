"""A gateway that binds its address before each connect(): one pool of ports for all that it talks to."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.halves import accept_never
from sockmon.labs.loads.pairs import connect, hold, listen, narrow, serve
from sockmon.labs.loads.places import DATABASE, WEB
from sockmon.labs.stage import Stage

PORTS, KEPT = 200, 4
UPSTREAMS = tuple(f"127.0.1.{number}" for number in range(1, 6))
GATEWAY = "127.0.0.5"


def _gateway() -> Iterator[float]:
    """As many connections to each upstream; then one more would be nice, and bind() refuses it each time."""
    held = [_bound_first(number) for number in range(PORTS)]
    while True:
        try:
            held.append(_bound_first(len(held)))
        except OSError as refused:
            if refused.errno != errno.EADDRINUSE:
                raise
        yield 0.2


def _bound_first(number: int) -> socket.socket:
    client = socket.socket()
    client.bind((GATEWAY, 0))
    client.connect((UPSTREAMS[number % len(UPSTREAMS)], WEB))
    return client


def _retry() -> Iterator[float]:
    """A program with another address and another destination gets no more than it has: every port is bound."""
    if not _is_refused():
        raise RuntimeError("connect() found a port that was not bound")
    while True:
        yield 0.2
        _is_refused()


def _is_refused() -> bool:
    try:
        connect("127.0.0.1", DATABASE).close()
    except OSError as refused:
        if refused.errno != errno.EADDRNOTAVAIL:
            raise
        return True
    return False


def _build(stage: Stage) -> None:
    narrow(PORTS)
    with listen(DATABASE) as listener:
        stage.start("database", partial(accept_never, listener))
    stage.start("reports", partial(hold, "127.0.0.1", DATABASE, iter([""] * KEPT), KEPT))
    stage.wait()
    serve(stage.crew, "upstream", WEB, PORTS)
    stage.start("gateway", _gateway)
    stage.wait()
    stage.start("reports-retry", _retry)


LAB = Lab(
    name="bound-ports",
    ceiling="bound-ports",
    title="a gateway that binds before it connects",
    does="A gateway binds its address before it connects to 5 upstreams; reports gets no port for its database.",
    look="bound ports of 127.0.0.5 at 200/200, and reports at 4/4 because of them",
    proves="ports that bind() took count for all destinations together, and are lost to every other program",
    build=_build,
    first=Expect("bound-ports", r"^127\.0\.0\.5$", (PORTS, PORTS), (PORTS, PORTS), ("hit",), "application"),
    also=(Expect("ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", (KEPT, KEPT), (KEPT, KEPT), ("hit",)),),
    never=("ephemeral-ports", "process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
)
