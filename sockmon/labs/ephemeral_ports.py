"""A proxy that has used up the local ports towards one database."""

from __future__ import annotations

from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.port_numbers import DATABASE
from sockmon.sandbox.loads.ports import grow_pool, start_proxy
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import limit_port_range

PORTS = 200
MORE = 100
"""Connections that the proxy would open if it found ports for them."""


def _build(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    start_proxy(builder.workers, PORTS)
    builder.wait()
    builder.start("proxy-retry", partial(grow_pool, DATABASE, MORE))


LAB = Lab(
    name="ephemeral-ports",
    ceiling="ephemeral-ports",
    title="a proxy without free ports",
    scenario="A proxy holds 200 connections to one database, and the port range has 200 ports.",
    what_to_see="ports towards 127.0.0.1:5432 at 200/200; connect() fails with EADDRNOTAVAIL",
    claim="ports are counted per destination, and the exhausted group is reported with its owner",
    build=_build,
    expect_first=hit("ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", PORTS),
    expect_no_alarm=("process-fds", "accept-queue", "time-wait-buckets", "tcp-memory", "conntrack-table"),
)
