"""TCP listeners that overflow in bursts: the queue is empty in nearly every sample, and the drops prove it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.loads.port_numbers import API, WEB
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import listen, start_connect

BACKLOG, LARGE_BACKLOG, ASKED = 16, 256, 4096
OVERFLOWING_BURST, FITTING_BURST = 60, 8
_ACCEPT_SECONDS, _BURST_SECONDS = 0.01, 0.2


def _server(listener: socket.socket) -> Iterator[float]:
    """Accept all that waits, a hundred times a second."""
    listener.setblocking(False)
    while True:
        yield _ACCEPT_SECONDS
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()


def _reloaded_server(listener: socket.socket) -> Iterator[float]:
    """Accept all that waits, and call listen() again each second, as a service does that is reloaded."""
    for number, seconds in enumerate(_server(listener)):
        if number % round(1 / _ACCEPT_SECONDS) == 0:
            listener.listen(ASKED)
        yield seconds


def _clients(burst: int) -> Iterator[float]:
    """Connect `burst` times at once, five times a second; what was dropped is given up before a retry."""
    while True:
        clients = [start_connect(API) for _ in range(burst)]
        yield _BURST_SECONDS
        for client in clients:
            client.close()


def _build(builder: LabBuilder, backlog: int, burst: int) -> None:
    with listen(WEB, backlog) as listener:
        builder.start("web-server", partial(hold_open, listener))
    with listen(API, backlog) as listener:
        builder.start("api-server", partial(_server, listener))
    builder.start("clients", partial(_clients, burst))


def _build_capped(builder: LabBuilder) -> None:
    builder.set_sysctl("net.core.somaxconn", BACKLOG)
    with listen(API, ASKED) as listener:
        builder.start("api-server", partial(_reloaded_server, listener))
    builder.start("clients", partial(_clients, OVERFLOWING_BURST))


API_HIT = Expect(
    "accept-queue",
    rf"^0\.0\.0\.0:{API} api-server\[\d+\]$",
    (0, BACKLOG + 1),
    (BACKLOG, BACKLOG),
    ("hit",),
    "application",
)
OVERFLOWING = Lab(
    name="tcp-bursts",
    ceiling="accept-queue",
    title="a TCP listener that overflows in bursts",
    scenario="60 clients connect at once, five times per second; the server has a backlog of 16, and accepts.",
    what_to_see="accept queue of api-server HIT, and empty; web-server is not blamed",
    claim="a listener that overflows between two samples is named, because its own drops have risen",
    build=partial(_build, backlog=BACKLOG, burst=OVERFLOWING_BURST),
    expect_first=API_HIT,
    expect_no_alarm=("process-fds", "syn-queue", "ephemeral-ports"),
)

CAPPED = Lab(
    name="capped-backlog",
    ceiling="accept-queue",
    title="a backlog that net.core.somaxconn caps",
    scenario="60 clients connect at once; the server asks for a backlog of 4,096, but somaxconn is 16.",
    what_to_see="accept queue of api-server HIT at a backlog of 16; a higher somaxconn helps",
    claim="the cap of the backlog is named and, once the server listens again, raising it ends the overflows",
    build=_build_capped,
    expect_first=API_HIT,
    expect_no_alarm=("process-fds", "syn-queue", "ephemeral-ports"),
)

FITTING = Lab(
    name="tcp-bursts-that-fit",
    ceiling=None,
    title="a TCP listener with bursts that fit",
    scenario="8 clients connect at once, five times per second; the server has a backlog of 256, and accepts.",
    what_to_see="no alarm: the accept queue is used and empties",
    claim="bursts that fit into the backlog raise no alarm",
    build=partial(_build, backlog=LARGE_BACKLOG, burst=FITTING_BURST),
    expect_first=None,
    check_seconds=5.0,
)
