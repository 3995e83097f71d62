"""Who holds the memory of TCP: one that does not read, one that is not read by its peers, and closed sockets whose
peers do not acknowledge. Nothing of it reaches a limit of the host, so nothing may alarm."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import accept_and_hold, connect_and_hold
from sockmon.sandbox.loads.port_numbers import DATABASE, SINK, WEB
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK, connect, listen
from sockmon.sandbox.veth_host import LOCAL, configure_local_end, enter_remote_host
from sockmon.sandbox.workers import FOREVER

UPLOADS, DOWNLOADS, IDLE = 10, 20, 200
SMALL_BUFFER, LARGE_BUFFER = 4096, 1 << 20
"""What the clients and the server ask for, so that the data stays with the server."""
_PIECE = bytes(65536)
_ROUNDS, _ROUND_SECONDS = 3, 0.2


def _fill(connections: list[socket.socket]) -> None:
    """Send until the kernel takes no more; the first window of a connection is small, and grows."""
    for _ in range(_ROUNDS):
        for each in connections:
            each.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    each.send(_PIECE)
        time.sleep(_ROUND_SECONDS)


def _upload(total: int) -> Iterator[float]:
    held = [connect(LOOPBACK, SINK) for _ in range(total)]
    _fill(held)
    yield FOREVER
    del held


def _download(listener: socket.socket, total: int, close: bool) -> Iterator[float]:
    """Send to `total` clients what they do not read; `close`: then close their connections."""
    held = [_accept(listener) for _ in range(total)]
    _fill(held)
    if close:
        held.clear()
    yield FOREVER
    listener.close()


def _accept(listener: socket.socket) -> socket.socket:
    connection = listener.accept()[0]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGE_BUFFER)
    return connection


def _never_read(server_side: int, port: int, total: int) -> Iterator[float]:
    """Connect from a host of its own, as soon as the server listens, and read nothing."""
    enter_remote_host(server_side)
    held: list[socket.socket] = []
    while len(held) < total:
        yield 0.01
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        with suppress(OSError):
            client.connect((LOCAL, port))
            held.append(client)
    yield FOREVER


def _read_slowly(total: int) -> Iterator[float]:
    """Read ten times a second, and more slowly than the server could send."""
    held = [connect(LOOPBACK, WEB) for _ in range(total)]
    while True:
        for each in held:
            each.recv(100_000)
        yield 0.1


def _keep_sending(listener: socket.socket, total: int) -> Iterator[float]:
    held = [listener.accept()[0] for _ in range(total)]
    for each in held:
        each.setblocking(False)
    while True:
        for each in held:
            with suppress(BlockingIOError):
                each.send(_PIECE)
        yield 0.01


def _start_idle_server(builder: LabBuilder) -> None:
    """Start a server with more sockets than all others, and no data in them."""
    with listen(DATABASE) as listener:
        builder.start("database", partial(accept_and_hold, listener, IDLE))
    builder.start("pool", partial(connect_and_hold, LOOPBACK, DATABASE, IDLE))


def _build_reader(builder: LabBuilder) -> None:
    _start_idle_server(builder)
    with listen(SINK) as listener:
        builder.start("archive", partial(accept_and_hold, listener, UPLOADS))
    builder.start("producer", partial(_upload, UPLOADS))


def _build_sender(builder: LabBuilder, close: bool = False) -> None:
    _start_idle_server(builder)
    builder.start("browser", partial(_never_read, os.getpid(), WEB, DOWNLOADS))
    builder.wait()
    configure_local_end()
    with listen(WEB) as listener:
        builder.start("download", partial(_download, listener, DOWNLOADS, close))


def _build_healthy(builder: LabBuilder) -> None:
    _start_idle_server(builder)
    with listen(WEB) as listener:
        builder.start("download", partial(_keep_sending, listener, DOWNLOADS))
    builder.start("browser", partial(_read_slowly, DOWNLOADS))


def _named(ceiling: str) -> Expect:
    """Return the expectation of a limit that is not visible here, with a process to look at."""
    return Expect(ceiling, "", None, None, ("unknown", "ok"), "application")


READER = Lab(
    name="unread-data",
    ceiling=None,
    title="an application that does not read what it is sent",
    scenario="A producer sends to an archive that reads nothing; a database has far more sockets, all idle.",
    what_to_see="no alarm; TCP memory names producer, and archive, which has to read",
    claim="the process that does not read is named, not the one with the most sockets or the most memory",
    build=_build_reader,
    expect_first=None,
    expect_also=(_named("tcp-memory"),),
)
SENDER = Lab(
    name="slow-clients",
    ceiling=None,
    title="a server whose clients do not read",
    scenario="A download server has filled the buffers of 20 clients that read nothing.",
    what_to_see="no alarm; TCP memory names download with its Send-Q",
    claim="the process whose peers do not read is named, and the peers, whose windows are closed",
    build=_build_sender,
    expect_first=None,
    expect_also=(_named("tcp-memory"),),
    needs=("ip",),
)
ORPHANS = Lab(
    name="abandoned-downloads",
    ceiling=None,
    title="a server that has closed connections with unsent data",
    scenario="A download server closes 20 connections whose clients have not read what was sent.",
    what_to_see="no alarm; orphaned sockets of port 8080, where download listens",
    claim="orphans have no process, but a port, a peer, and the process that listens on the port",
    build=partial(_build_sender, close=True),
    expect_first=None,
    expect_also=(_named("tcp-orphans"),),
    needs=("ip",),
)
HEALTHY = Lab(
    name="slow-download",
    ceiling=None,
    title="clients that read slowly",
    scenario="A download server sends faster than its clients read; each of them reads all the time.",
    what_to_see="no alarm: long queues that move are normal",
    claim="a slow download raises no alarm",
    build=_build_healthy,
    expect_first=None,
    check_seconds=10.0,
)
