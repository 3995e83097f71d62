"""Sockets that are bound to a device (SO_BINDTODEVICE), next to others of the same addresses that are not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import accept_and_hold, connect_and_hold
from sockmon.sandbox.loads.port_numbers import DATABASE
from sockmon.sandbox.scenario import Expect, Lab, hit
from sockmon.sandbox.sockets import LOOPBACK, limit_port_range, listen
from sockmon.sandbox.workers import FOREVER

PORTS, HALF_FULL, BELOW_HALF = 200, 100, 90
_ON_DEVICE, _ON_NONE = r"^127\.0\.0\.1%lo → 127\.0\.0\.1:5432$", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$"


def _uplink_check(total: int) -> Iterator[float]:
    held = []
    for _ in range(total):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        client.connect((LOOPBACK, DATABASE))
        held.append(client)
    while held:
        yield FOREVER


def _build(builder: LabBuilder, on_device: int, on_none: int) -> None:
    limit_port_range(PORTS)
    with listen(DATABASE) as listener:
        # The other way round the sockets of the device could not take the ports of those without one.
        builder.start("uplink-check", partial(_uplink_check, on_device))
        builder.wait()
        builder.start("database", partial(accept_and_hold, listener, on_device + on_none))
        builder.start("reports", partial(connect_and_hold, LOOPBACK, DATABASE, on_none))


LAB = Lab(
    name="device-ports",
    ceiling="ephemeral-ports",
    title="sockets of one device without free ports",
    scenario="A program binds its sockets to lo and uses all 200 ports; one without a device has 100 more.",
    what_to_see="127.0.0.1%lo to :5432 at 200/200, next to 127.0.0.1 at 100/200",
    claim="sockets of a device have ports of their own, which do not count for others",
    build=partial(_build, on_device=PORTS, on_none=HALF_FULL),
    expect_first=hit("ephemeral-ports", _ON_DEVICE, PORTS),
    expect_also=(Expect("ephemeral-ports", _ON_NONE, (HALF_FULL, HALF_FULL), (PORTS, PORTS), ("ok",)),),
    expect_no_alarm=("bound-ports", "process-fds", "accept-queue", "time-wait-buckets"),
)

HALF = Lab(
    name="device-and-none",
    ceiling=None,
    title="sockets of one device and of none, each below half",
    scenario="A program with a device and one without hold 90 connections each; the range has 200 ports.",
    what_to_see="no alarm: 127.0.0.1%lo and 127.0.0.1 at 90 ports each",
    claim="the ports of two devices are not added up",
    build=partial(_build, on_device=BELOW_HALF, on_none=BELOW_HALF),
    expect_first=None,
    check_seconds=5.0,
)
