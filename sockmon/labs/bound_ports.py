"""Programs that bind their sockets before each connect(): all destinations share one pool of ports."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import connect_and_hold, hold_open, start_servers
from sockmon.sandbox.loads.port_numbers import DATABASE, WEB
from sockmon.sandbox.loads.ports import grow_pool
from sockmon.sandbox.scenario import Expect, Lab, hit
from sockmon.sandbox.sockets import (
    FIRST_PORT,
    IP_BIND_ADDRESS_NO_PORT,
    LOOPBACK,
    limit_port_range,
    listen,
    try_connect,
)
from sockmon.sandbox.workers import FOREVER

PORTS, REPORT_CONNECTIONS = 200, 4
UPSTREAMS = tuple(f"127.0.1.{number}" for number in range(1, 6))
GATEWAY, SIDECAR = "127.0.0.5", "127.0.0.6"
SOURCES = 100


def _gateway() -> Iterator[float]:
    """Connect to the upstreams in turn until the ports are used up; bind() then refuses one more each time."""
    held = [_bind_and_connect(number) for number in range(PORTS)]
    while True:
        try:
            held.append(_bind_and_connect(len(held)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        yield 0.2


def _bind_and_connect(number: int) -> socket.socket:
    client = socket.socket()
    client.bind((GATEWAY, 0))
    client.connect((UPSTREAMS[number % len(UPSTREAMS)], WEB))
    return client


def _retry() -> Iterator[float]:
    """Fail to connect from another address to another destination: every port is bound."""
    if try_connect(LOOPBACK, DATABASE):
        raise RuntimeError("connect() found a port that was not bound")
    while True:
        yield 0.2
        if client := try_connect(LOOPBACK, DATABASE):
            client.close()


def _build(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    with listen(DATABASE) as listener:
        builder.start("database", partial(hold_open, listener))
    builder.start("reports", partial(connect_and_hold, LOOPBACK, DATABASE, REPORT_CONNECTIONS))
    builder.wait()
    start_servers(builder.workers, "upstream", WEB, PORTS)
    builder.start("gateway", _gateway)
    builder.wait()
    builder.start("reports-retry", _retry)


def _sidecar(listener: socket.socket) -> Iterator[float]:
    """Open short connections that are bound and closed first, until bind() refuses; then one more each time."""
    while _open_and_close(listener):
        pass
    while True:
        yield 0.2
        _open_and_close(listener)


def _open_and_close(listener: socket.socket) -> bool:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            client.bind((SIDECAR, 0))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        client.connect((LOOPBACK, WEB))
        accepted = listener.accept()[0]
    accepted.close()
    return True


def _build_sidecar(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    with listen(WEB) as listener:
        builder.start("sidecar", partial(_sidecar, listener))


def _transparent_proxy(no_port: bool) -> Iterator[float]:
    """Hold connections from many addresses, a few each; bound to a number as a transparent proxy does, or not."""
    held = [_connect_from(number, no_port) for number in range(PORTS)]
    while held:
        yield FOREVER


def _connect_from(number: int, no_port: bool) -> socket.socket:
    client = socket.socket()
    if no_port:
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((f"127.0.2.{number % SOURCES + 1}", 0 if no_port else FIRST_PORT + number))
    client.connect((LOOPBACK, WEB))
    return client


def _reserve(address: str, total: int) -> Iterator[float]:
    """Hold ports that are bound and not used."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = [socket.socket(family) for _ in range(total)]
    for each in held:
        each.bind((address, 0))
    while held:
        yield FOREVER


def _build_beside(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    start_servers(builder.workers, "upstream", WEB, PORTS)
    builder.start("proxy", _small_sources)
    builder.wait()
    with listen(DATABASE) as listener:
        builder.start("database", partial(hold_open, listener))
    builder.start("pool", partial(grow_pool, DATABASE, PORTS + 1))


def _small_sources() -> Iterator[float]:
    """Hold two connections from each of many addresses, whose ports bind() has chosen."""
    held = []
    for number in range(PORTS):
        client = socket.socket()
        client.bind((f"127.0.2.{number % SOURCES + 1}", 0))
        client.connect((LOOPBACK, WEB))
        held.append(client)
    while held:
        yield FOREVER


def _build_wildcard(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    builder.start("port-reserver", partial(_reserve, "::", PORTS // 2))
    builder.wait()
    start_servers(builder.workers, "upstream", WEB, PORTS // 2)
    builder.start("gateway", partial(_half_gateway, PORTS // 2))


def _half_gateway(total: int) -> Iterator[float]:
    held = [_bind_and_connect(number) for number in range(total)]
    try:
        held.append(_bind_and_connect(0))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    if len(held) > total:
        raise RuntimeError("bind() found a port that a socket of :: does not have")
    yield FOREVER


def _build_many(builder: LabBuilder, no_port: bool) -> None:
    limit_port_range(PORTS)
    start_servers(builder.workers, "upstream", WEB, PORTS)
    builder.start("proxy", partial(_transparent_proxy, no_port))


LAB = Lab(
    name="bound-ports",
    ceiling="bound-ports",
    title="a gateway that binds before it connects",
    scenario="A gateway calls bind() before each connect() to 5 upstreams; reports has no port for its database.",
    what_to_see="bound ports of 127.0.0.5 at 200/200, and reports at 4/4 because of them",
    claim="ports taken by bind() count for all destinations together, and no other program can use them",
    build=_build,
    expect_first=hit("bound-ports", r"^127\.0\.0\.5$", PORTS, "application"),
    expect_also=(hit("ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", REPORT_CONNECTIONS),),
    expect_no_alarm=("ephemeral-ports", "process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
)

IN_TIME_WAIT = Lab(
    name="bound-time-wait",
    ceiling="bound-ports",
    title="a sidecar that binds first, all in TIME_WAIT",
    scenario="A sidecar calls bind(127.0.0.6, 0) for each short connection; its 200 ports are in TIME_WAIT.",
    what_to_see="bound ports of 127.0.0.6 at 200/200, although tcp_tw_reuse is 2 on loopback",
    claim="ports in TIME_WAIT that were bound first are not reused, which the kernel proves on the first sample",
    build=_build_sidecar,
    expect_first=hit("bound-ports", r"^127\.0\.0\.6$", PORTS, "application"),
    expect_no_alarm=("process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
)

MANY_SOURCES = Lab(
    name="bound-by-many-sources",
    ceiling="bound-ports",
    title="a transparent proxy with 100 addresses",
    scenario="A transparent proxy binds two of 200 ports on each of 100 addresses; no other program can connect.",
    what_to_see="bound ports of the whole namespace at 200/200, with the proxy as the owner",
    claim="ports that many addresses have bound are added up, and the kernel proves that none is left",
    build=partial(_build_many, no_port=False),
    expect_first=hit("bound-ports", r"^net:", PORTS, "application"),
    expect_no_alarm=("ephemeral-ports", "process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
)

ANY_ADDRESS = Lab(
    name="bound-by-any-address",
    ceiling="bound-ports",
    title="ports that a socket of :: takes from every address",
    scenario="A program binds 100 of 200 ports on ::; a gateway binds the others on 127.0.0.5, and gets no more.",
    what_to_see="bound ports of 127.0.0.5 at 100/100",
    claim="a port of :: is lost to bind() of every address, of IPv4 too",
    build=_build_wildcard,
    expect_first=hit("bound-ports", r"^(127\.0\.0\.5|::)$", PORTS // 2, "application"),
    expect_also=(hit("bound-ports", r"^127\.0\.0\.5$", PORTS // 2),),
    expect_no_alarm=("process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
    needs=("Linux 6.8",),
)

BESIDE_MANY = Lab(
    name="ports-that-others-bind",
    ceiling="ephemeral-ports",
    title="a pool next to a proxy that binds on 100 addresses",
    scenario="A proxy calls bind() with two ports of each of 100 addresses; a pool has no port that it holds.",
    what_to_see="ports towards 127.0.0.1:5432 all in use, at about 115 of 200",
    claim="ports that many addresses have bound are subtracted from what connect() can get",
    build=_build_beside,
    expect_first=Expect(
        "ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", (100, 160), (100, 160), ("hit",)
    ),
    expect_no_alarm=("bound-ports", "process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
)

NO_PORT = Lab(
    name="many-sources",
    ceiling=None,
    title="a proxy with 100 addresses and IP_BIND_ADDRESS_NO_PORT",
    scenario="A proxy holds 200 connections from 100 addresses, and lets connect() choose the ports.",
    what_to_see="no alarm: bound ports at 0/200",
    claim="ports that connect() has chosen stay usable for other destinations, however many sources there are",
    build=partial(_build_many, no_port=True),
    expect_first=None,
    check_seconds=5.0,
)
