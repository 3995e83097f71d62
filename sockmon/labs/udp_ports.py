"""A resolver that opens a socket for each question: UDP has one pool of ports, whatever the destination."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.labs.crew import FOREVER
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.pairs import narrow
from sockmon.labs.stage import Stage

PORTS, DNS = 200, 53
SERVERS = ("127.0.0.53", "127.0.0.54")


def _silent(server: socket.socket) -> Iterator[float]:
    yield FOREVER
    server.close()


def _ask(number: int) -> socket.socket:
    """A question that is never answered, from a socket of its own."""
    client = socket.socket(type=socket.SOCK_DGRAM)
    client.connect((SERVERS[number % len(SERVERS)], DNS))
    client.send(b"?")
    return client


def _resolver() -> Iterator[float]:
    held = [_ask(number) for number in range(PORTS)]
    while True:
        # EAGAIN: no port is left, towards whichever server.
        with suppress(BlockingIOError):
            held.append(_ask(len(held)))
        yield 0.2


def _build(stage: Stage) -> None:
    narrow(PORTS)
    for address in SERVERS:
        with socket.socket(type=socket.SOCK_DGRAM) as server:
            server.bind((address, DNS))
            stage.start("dns-server", partial(_silent, server))
    stage.start("resolver", _resolver)


LAB = Lab(
    name="udp-ports",
    ceiling="udp-ports",
    title="a resolver without ports",
    does="A resolver opens a socket for each question, nobody answers, and the range has 200 ports.",
    look="UDP ports at 200/200 for both servers together: connect() fails, EAGAIN",
    proves="UDP sockets that are not bound share one pool for all destinations, and their owner is named",
    build=_build,
    first=Expect("udp-ports", r".", (PORTS, PORTS), (PORTS, PORTS), ("hit",), "application"),
    never=("ephemeral-ports", "bound-ports", "process-fds", "udp-memory", "user-processes", "cgroup-pids"),
)
