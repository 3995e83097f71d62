"""How many ports a range really has: with reserved ports, with a listener in it, with an odd number of ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.loads.port_numbers import DATABASE
from sockmon.sandbox.loads.ports import grow_pool
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import FIRST_PORT, limit_port_range, listen

PORTS, RESERVED = 200, 20
POOL_SIZE = 300
"""Connections that the pool would open if it found ports for them; no descriptor limit ends it before."""
PORT_IN_RANGE = FIRST_PORT + 7
SUBJECT = r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$"


def _database(listener: socket.socket) -> Iterator[float]:
    yield 0.0
    held = []
    while True:
        held.append(listener.accept()[0])


def _build(builder: LabBuilder, ports: int = PORTS, reserved: int = 0, listener_in_range: bool = False) -> None:
    limit_port_range(ports)
    if reserved:
        builder.set_sysctl("net.ipv4.ip_local_reserved_ports", f"{FIRST_PORT}-{FIRST_PORT + reserved - 1}")
    with listen(DATABASE) as listener:
        builder.start("database", partial(_database, listener))
    if listener_in_range:
        with listen(PORT_IN_RANGE) as listener:
            builder.start("metrics", partial(hold_open, listener))
    builder.start("pool", partial(grow_pool, DATABASE, POOL_SIZE))


_NO_ALARM = ("process-fds", "bound-ports", "accept-queue", "time-wait-buckets", "conntrack-table")

RESERVED_PORTS = Lab(
    name="reserved-ports",
    ceiling="ephemeral-ports",
    title="reserved ports in the range",
    scenario="A pool connects to one database until no port is left; 20 of the 200 ports are reserved.",
    what_to_see="ports towards 127.0.0.1:5432 at 180/180; the evidence names 20 reserved ones",
    claim="ip_local_reserved_ports is subtracted from the range",
    build=partial(_build, reserved=RESERVED),
    expect_first=hit("ephemeral-ports", SUBJECT, PORTS - RESERVED),
    expect_no_alarm=_NO_ALARM,
)

LISTENER_IN_RANGE = Lab(
    name="listener-in-range",
    ceiling="ephemeral-ports",
    title="a listener in the range",
    scenario="A pool connects to one database until no port is left; a service listens on one of the 200.",
    what_to_see="ports towards 127.0.0.1:5432 at 199/199; the evidence names 1 listening port",
    claim="a port with a listener is subtracted from the range",
    build=partial(_build, listener_in_range=True),
    expect_first=hit("ephemeral-ports", SUBJECT, PORTS - 1),
    expect_no_alarm=_NO_ALARM,
)

ODD_RANGE = Lab(
    name="odd-range",
    ceiling="ephemeral-ports",
    title="a range of three ports",
    scenario="A pool connects to one database until no port is left; the range is 40000 to 40002.",
    what_to_see="ports towards 127.0.0.1:5432 at 2/2: connect() never tries the third one",
    claim="the limit of a range of three ports is two, because connect() never tries the last one",
    build=partial(_build, ports=3),
    expect_first=hit("ephemeral-ports", SUBJECT, 2),
    expect_no_alarm=_NO_ALARM,
)
