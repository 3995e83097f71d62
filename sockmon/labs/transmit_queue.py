"""A device that sends more slowly than its programs, and one whose bursts fit its transmit queue."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import partial

from sockmon.errors import LabUnavailable
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.veth_host import LOCAL, REMOTE, run_tool

LIMIT = 3000
"""Bytes that wait; the shaper sends 8,000 bytes a second."""
_IP_RECVERR = 11


def _shaped_device(rate: str, limit: int) -> None:
    """Set up a device that sends at `rate`; nothing answers at its other end."""
    run_tool("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "wan1")
    run_tool("ip", "address", "add", f"{LOCAL}/24", "dev", "wan0")
    for device in ("wan0", "wan1"):
        run_tool("ip", "link", "set", device, "up")
    run_tool("ip", "neigh", "add", REMOTE, "lladdr", "02:00:00:00:00:02", "dev", "wan0")
    try:
        run_tool(
            "tc", "qdisc", "add", "dev", "wan0", "root", "tbf", "rate", rate, "burst", "1600", "limit", str(limit)
        )
    except RuntimeError as error:
        raise LabUnavailable(f"tc cannot shape a device here: {error}") from error


def _send(datagrams: int, size: int) -> Iterator[float]:
    """Send so many datagrams twenty times a second, whether they are lost or not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_IP, _IP_RECVERR, 1)
        while True:
            for _ in range(datagrams):
                try:
                    sender.sendto(bytes(size), (REMOTE, 9))
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
            yield 0.05


def _build(builder: LabBuilder, rate: str, limit: int, datagrams: int) -> None:
    _shaped_device(rate, limit)
    builder.start("scanner", partial(_send, datagrams, 200))


LAB = Lab(
    name="transmit-queue",
    ceiling="transmit-queue",
    title="a device that is slower than its programs",
    scenario="A scanner sends 400 datagrams per second through a device that is limited to 64 kbit/s.",
    what_to_see="transmit queue of wan0 full; most packets are dropped",
    claim="ENOBUFS of a full transmit queue is not blamed on neighbours or socket buffers",
    build=partial(_build, rate="64kbit", limit=LIMIT, datagrams=20),
    expect_first=Expect("transmit-queue", r"^wan0$", (0, LIMIT), (LIMIT, LIMIT), ("hit",), "application"),
    expect_no_alarm=("udp-buffers", "udp-ports", "udp-memory", "process-fds"),
    needs=("ip", "tc"),
)

FITTING = Lab(
    name="shaped-bursts",
    ceiling=None,
    title="bursts that fit a transmit queue",
    scenario="A scanner sends bursts of 20 datagrams through a device that is limited to 10 Mbit/s.",
    what_to_see="no alarm: the transmit queue of wan0 fills and empties",
    claim="a transmit queue that is used and drops nothing raises no alarm",
    build=partial(_build, rate="10mbit", limit=100_000, datagrams=20),
    expect_first=None,
    needs=("ip", "tc"),
    check_seconds=4.0,
)
