"""Workers with a listener each on one port (SO_REUSEPORT), which their master has made, as nginx does."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK, connect, start_connect

BACKLOG, WORKERS, BATCH = 32, 4, 200


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((LOOPBACK, WEB))
    listener.listen(BACKLOG)
    return listener


def _worker(listener: socket.socket, stuck: bool) -> Iterator[float]:
    """Wait for connections in epoll, and accept each; a stuck one is stopped first."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    listener.setblocking(False)
    yield 0.0
    if stuck:
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        for _ in poll.poll(0.05):
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
        yield 0.0


def _clients(listeners: list[socket.socket], blocked: bool) -> Iterator[float]:
    """Connect again and again; do not wait for it if a part of it is `blocked`."""
    for listener in listeners:
        listener.close()
    held = [start_connect(WEB) for _ in range(BATCH)] if blocked else []
    yield 0.5
    while True:
        held = held[-BATCH:]
        if blocked:
            held.append(start_connect(WEB))
        else:
            connect(LOOPBACK, WEB).close()
        yield 0.02


def _build(builder: LabBuilder, stuck: int | None) -> None:
    listeners = [_listener() for _ in range(WORKERS)]
    # It holds all listeners and never accepts.
    builder.start("web-master", partial(hold_open, *listeners))
    builder.wait()
    for number, listener in enumerate(listeners):
        name = "web-stuck" if number == stuck else "web-worker"
        builder.start(name, partial(_worker, listener, number == stuck))
    builder.wait()
    builder.start("clients", partial(_clients, listeners, stuck is not None))
    builder.wait()
    for listener in listeners:
        listener.close()


STUCK = Lab(
    name="stuck-worker",
    ceiling="accept-queue",
    title="one of four workers is stuck",
    scenario="A master makes four SO_REUSEPORT listeners, one for each worker; the third worker is stopped.",
    what_to_see="accept queue of web-stuck at 33/32, three others empty; not the master",
    claim="of the processes that share a listener, the one that does not accept is named",
    build=partial(_build, stuck=2),
    expect_first=Expect(
        "accept-queue",
        r"^127\.0\.0\.1:8080 web-stuck\[\d+\]$",
        (BACKLOG + 1, BACKLOG + 1),
        (BACKLOG, BACKLOG),
        ("hit",),
        "application",
    ),
    expect_no_alarm=("process-fds", "syn-queue", "ephemeral-ports"),
)

BUSY = Lab(
    name="busy-workers",
    ceiling=None,
    title="four workers that all accept",
    scenario="A master makes four SO_REUSEPORT listeners, one for each worker; all of them accept.",
    what_to_see="no alarm: four accept queues, each with its own worker",
    claim="a master that holds the listeners of its workers and never accepts raises no alarm",
    build=partial(_build, stuck=None),
    expect_first=None,
    check_seconds=5.0,
)
