"""What a port range really holds: reserved ports, a listener inside it, an odd number of ports."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.halves import accept_never
from sockmon.labs.loads.pairs import LOW, connect, listen, narrow
from sockmon.labs.loads.places import DATABASE
from sockmon.labs.stage import Stage

PORTS, RESERVED = 200, 20
MOST = 300
"""Connections of the pool, if it could: no limit of descriptors may end it."""
INSIDE = LOW + 7


def _database(listener: socket.socket) -> Iterator[float]:
    yield 0.0
    held = []
    while True:
        held.append(listener.accept()[0])


def _pool() -> Iterator[float]:
    """Connect until the kernel says that there is no port, and go on trying; it grows where the wall is moved."""
    held: list[socket.socket] = []
    while True:
        # A pool of its full size waits.
        while len(held) >= MOST:
            yield 1.0
        try:
            held.append(connect("127.0.0.1", DATABASE))
        except OSError as refused:
            if refused.errno != errno.EADDRNOTAVAIL:
                raise
            yield 0.2


def _build(stage: Stage, ports: int = PORTS, reserved: int = 0, inside: bool = False) -> None:
    narrow(ports)
    if reserved:
        stage.set_sysctl("net.ipv4.ip_local_reserved_ports", f"{LOW}-{LOW + reserved - 1}")
    with listen(DATABASE) as listener:
        stage.start("database", partial(_database, listener))
    if inside:
        with listen(INSIDE) as listener:
            stage.start("metrics", partial(accept_never, listener))
    stage.start("pool", _pool)


def _full(used: int, limit: int) -> Expect:
    return Expect("ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", (used, used), (limit, limit), ("hit",))


_NEVER = ("process-fds", "bound-ports", "accept-queue", "time-wait-buckets", "conntrack-table")

RESERVED_PORTS = Lab(
    name="reserved-ports",
    ceiling="ephemeral-ports",
    title="reserved ports in the range",
    does="A pool grows to one database until it has no port; 20 of the 200 in the range are reserved.",
    look="ports towards 127.0.0.1:5432 at 180/180, with 20 reserved told below",
    proves="ip_local_reserved_ports is taken off what the range holds",
    build=partial(_build, reserved=RESERVED),
    first=_full(PORTS - RESERVED, PORTS - RESERVED),
    never=_NEVER,
)

LISTENER_IN_RANGE = Lab(
    name="listener-in-range",
    ceiling="ephemeral-ports",
    title="a listener in the range",
    does="A pool grows to one database until it has no port; a service listens on one of the 200.",
    look="ports towards 127.0.0.1:5432 at 199/199, with 1 listening told below",
    proves="a port that is listened on is taken off what the range holds",
    build=partial(_build, inside=True),
    first=_full(PORTS - 1, PORTS - 1),
    never=_NEVER,
)

ODD_RANGE = Lab(
    name="odd-range",
    ceiling="ephemeral-ports",
    title="a range of three ports",
    does="A pool grows to one database until it has no port; the range is 40000 to 40002.",
    look="ports towards 127.0.0.1:5432 at 2/3: the third one is never given out",
    proves="a range of an odd number of ports is known to be used up before its last one is",
    build=partial(_build, ports=3),
    first=_full(2, 3),
    never=_NEVER,
)
