"""A collector that reads more slowly than its routers send, and one that keeps up."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.workers import FOREVER

NETFLOW, STATSD = 2055, 8125
BUFFER = 65_536
"""What the collector asks for, so that the lab fills it soon; the kernel doubles it."""
DATAGRAM = bytes(1000)


def _never_read(netflow: socket.socket) -> Iterator[float]:
    yield FOREVER
    netflow.close()


def _read(statsd: socket.socket) -> Iterator[float]:
    """Read all that waits, ten times a second."""
    statsd.setblocking(False)
    while True:
        with suppress(BlockingIOError):
            while True:
                statsd.recv(2000)
        yield 0.1


def _send(port: int, datagrams: int) -> Iterator[float]:
    """Send so many datagrams ten times a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to_server:
        to_server.connect(("127.0.0.1", port))
        while True:
            for _ in range(datagrams):
                to_server.send(DATAGRAM)
            yield 0.1


def _build(builder: LabBuilder) -> None:
    for port, name, work in ((NETFLOW, "collector", _never_read), (STATSD, "statsd", _read)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            if work is _never_read:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            server.bind(("127.0.0.1", port))
            builder.start(name, partial(work, server))
    builder.start("router", partial(_send, NETFLOW, 100))
    builder.start("web", partial(_send, STATSD, 20))


LAB = Lab(
    name="udp-buffers",
    ceiling="udp-buffers",
    title="a collector that does not keep up",
    scenario="A router sends 1,000 datagrams per second to a collector that reads none; another server keeps up.",
    what_to_see="UDP receive buffer of collector full, and drops rising; statsd is not listed",
    claim="the socket that loses datagrams is reported, with its process and the size of its buffer",
    build=_build,
    expect_first=Expect(
        "udp-buffers",
        r"^127\.0\.0\.1:2055 collector\[\d+\]$",
        (int(1.9 * BUFFER), int(2.1 * BUFFER)),
        (2 * BUFFER, 2 * BUFFER),
        ("hit",),
        "application",
    ),
    expect_no_alarm=("process-fds", "udp-ports", "unix-dgram-queue", "accept-queue"),
)
