"""A program that gives bind() the number of the port before connect(): inside of the range, and outside of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import connect_and_hold, start_servers
from sockmon.sandbox.loads.port_numbers import DATABASE, IPV6, WEB
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import FIRST_PORT, LOOPBACK, limit_port_range
from sockmon.sandbox.workers import FOREVER

PORTS, NUMBERED, REPORT_CONNECTIONS = 200, 180, 4
SOURCE, SOURCE_V6 = "127.0.0.8", "::1"
OUTSIDE = FIRST_PORT - 1000


def _exporter(source: str, destination: tuple[str, int], first: int) -> Iterator[float]:
    """Hold connections from the ports first, first + 1 and so on."""
    held = []
    for number in range(NUMBERED):
        client = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((source, first + number))
        client.connect(destination)
        held.append(client)
    while held:
        yield FOREVER


def _build(builder: LabBuilder, first: int = FIRST_PORT, v6: bool = False) -> None:
    limit_port_range(PORTS)
    family = socket.AF_INET6 if v6 else socket.AF_INET
    start_servers(builder.workers, "collector", IPV6 if v6 else WEB, NUMBERED, family)
    source, destination = (SOURCE_V6, (SOURCE_V6, IPV6)) if v6 else (SOURCE, (LOOPBACK, WEB))
    builder.start("exporter", partial(_exporter, source, destination, first))
    builder.wait()
    start_servers(builder.workers, "database", DATABASE, REPORT_CONNECTIONS)
    builder.start("reports", partial(connect_and_hold, LOOPBACK, DATABASE, REPORT_CONNECTIONS))


def _bound(source: str) -> Expect:
    return Expect("bound-ports", source, (NUMBERED, NUMBERED), (PORTS, PORTS), ("critical",), "application")


_LEFT = PORTS - NUMBERED
_REPORTS = Expect(
    "ephemeral-ports",
    r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$",
    (REPORT_CONNECTIONS, REPORT_CONNECTIONS),
    (_LEFT, _LEFT),
    ("ok",),
)

LAB = Lab(
    name="bound-by-number",
    ceiling="bound-ports",
    title="an exporter that binds port numbers",
    scenario="An exporter binds 180 numbers of a range of 200 itself, for connections to one collector.",
    what_to_see="bound ports of 127.0.0.8 at 180/200: other programs have 20 ports left",
    claim="the kernel reports which ports were given to bind() as a number, long before the range is full",
    build=_build,
    expect_first=_bound(r"^127\.0\.0\.8$"),
    expect_also=(_REPORTS,),
    expect_no_alarm=("process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
)

IPV6_LAB = Lab(
    name="bound-by-number-ipv6",
    ceiling="bound-ports",
    title="an exporter that binds port numbers of IPv6",
    scenario="An exporter binds 180 numbers of a range of 200 on ::1; IPv4 loses these ports too.",
    what_to_see="bound ports of ::1 at 180/200: other programs have 20 ports left, IPv4 too",
    claim="a port that is bound on an IPv6 address is lost to connect() of IPv4 too",
    build=partial(_build, v6=True),
    expect_first=_bound(r"^::1$"),
    expect_also=(_REPORTS,),
    expect_no_alarm=("process-fds", "udp-ports", "accept-queue", "time-wait-buckets"),
)

OUTSIDE_LAB = Lab(
    name="numbers-outside",
    ceiling=None,
    title="an exporter that binds numbers outside of the range",
    scenario="An exporter binds 180 port numbers below the range, for connections to one collector.",
    what_to_see="no alarm: bound ports at 0/200",
    claim="ports outside of the range are lost to no connect()",
    build=partial(_build, first=OUTSIDE),
    expect_first=None,
    check_seconds=5.0,
)
