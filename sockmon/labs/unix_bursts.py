"""A unix listener that its clients fill in bursts: it is full and empty by turns, and no counter moves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.scenario import Expect, Lab

BACKLOG, ROUND_SECONDS = 16, 0.05
APP = "\0run/app"
"""An abstract address; a path would be a file of the host."""


def _server(listener: socket.socket) -> Iterator[float]:
    """Accept all that waits, twenty times a second."""
    listener.setblocking(False)
    while True:
        yield ROUND_SECONDS
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()


def _clients(burst: int) -> Iterator[float]:
    """Connect `burst` times at once, ten times a second."""
    while True:
        clients = [socket.socket(socket.AF_UNIX) for _ in range(burst)]
        for client in clients:
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(APP)
        yield 2 * ROUND_SECONDS
        for client in clients:
            client.close()


def _build(builder: LabBuilder, burst: int) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(APP)
        listener.listen(BACKLOG)
        builder.start("app-server", partial(_server, listener))
        builder.wait()
    builder.start("clients", partial(_clients, burst))


OVERFLOWING = Lab(
    name="unix-bursts",
    ceiling="accept-queue",
    title="a unix listener that overflows in bursts",
    scenario="60 clients connect at once, ten times per second; the server has a backlog of 16, and accepts.",
    what_to_see="a warning: the accept queue of app-server was full again and again",
    claim="a queue of a unix listener that is full between two samples is not reported as empty",
    build=partial(_build, burst=60),
    expect_first=Expect(
        "accept-queue",
        r"run/app app-server\[\d+\]$",
        (BACKLOG, BACKLOG),
        (BACKLOG, BACKLOG),
        ("warning",),
        "application",
    ),
    expect_no_alarm=("process-fds", "unix-dgram-queue", "syn-queue"),
)

FITTING = Lab(
    name="busy-unix-server",
    ceiling=None,
    title="a unix listener whose bursts fit its backlog",
    scenario="Seven clients connect at once, ten times per second; the server has a backlog of 16.",
    what_to_see="no alarm: the accept queue of app-server fills and empties",
    claim="bursts that fit the backlog of a unix listener raise no alarm",
    build=partial(_build, burst=7),
    expect_first=None,
    check_seconds=5.0,
)
