"""Ports in TIME_WAIT with tcp_tw_reuse on: never reused if the peer has no TCP timestamps, reused if it has."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.port_numbers import DATABASE
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import limit_port_range, listen, tcp_counter, try_connect
from sockmon.sandbox.veth_host import LOCAL, REMOTE, configure_local_end, enter_remote_host

PORTS, RATE = 200, 40


def _database(client_side: int, timestamps: int) -> Iterator[float]:
    """Close each connection after its client, on a host of its own."""
    enter_remote_host(client_side)
    set_sysctl("net.ipv4.tcp_timestamps", str(timestamps))
    with listen(DATABASE) as listener:
        yield 0.0
        while True:
            _close_after_client(listener.accept()[0])


def _close_after_client(connection: socket.socket) -> None:
    with connection:
        connection.recv(1)


def _jobs(until_reused: bool) -> Iterator[float]:
    """Open short connections; ready when no port is left, or when the first one has been reused."""
    while (client := try_connect(REMOTE, DATABASE)) is not None:
        client.close()
        if until_reused and tcp_counter("TWRecycled"):
            break
    while until_reused and not tcp_counter("TWRecycled"):
        _connect_once()
    yield 0.0
    while True:
        _connect_once()
        yield 1 / RATE


def _connect_once() -> None:
    if client := try_connect(REMOTE, DATABASE):
        client.close()


def _build(builder: LabBuilder, timestamps: int) -> None:
    limit_port_range(PORTS)
    builder.set_sysctl("net.ipv4.tcp_tw_reuse", 1)
    builder.start("database", partial(_database, os.getpid(), timestamps))
    builder.wait()
    configure_local_end()
    builder.start("jobs", partial(_jobs, until_reused=timestamps == 1))


NEVER_REUSED = Lab(
    name="time-wait-not-reused",
    ceiling="ephemeral-ports",
    title="a database without TCP timestamps",
    scenario="Short connections to a host without TCP timestamps use up 200 ports; tcp_tw_reuse is 1.",
    what_to_see="ports towards 192.0.2.2:5432 at 200/200, all in TIME_WAIT, TWRecycled 0",
    claim="the value of tcp_tw_reuse alone does not make a port in TIME_WAIT free",
    build=partial(_build, timestamps=0),
    expect_first=hit("ephemeral-ports", rf"^{LOCAL} → {REMOTE}:{DATABASE}$", PORTS, "application"),
    expect_no_alarm=("bound-ports", "time-wait-buckets", "process-fds", "accept-queue"),
    needs=("ip",),
)

REUSED = Lab(
    name="time-wait-reused",
    ceiling=None,
    title="short connections whose ports are reused",
    scenario="Short connections to another host have used all 200 ports; tcp_tw_reuse is 1, and works.",
    what_to_see="no alarm: ports towards 192.0.2.2:5432 at 200/200, but TWRecycled rises",
    claim="ports in TIME_WAIT are free if TWRecycled shows that connect() reuses them",
    build=partial(_build, timestamps=1),
    expect_first=None,
    check_seconds=10.0,
    needs=("ip",),
)
