"""Healthy: connections and processes come and go, and every limit is far away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from time import monotonic

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.port_numbers import CHURN
from sockmon.sandbox.loads.tracking import enable_conntrack
from sockmon.sandbox.loads.traffic import REQUEST, serve_echo
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.sockets import LOOPBACK, connect, listen

RATE, JOBS = 200, 5
"""Connections and processes per second."""
_ROUND_SECONDS = 0.05


def _clients() -> Iterator[float]:
    due = monotonic()
    while True:
        clients = [connect(LOOPBACK, CHURN) for _ in range(round(RATE * _ROUND_SECONDS))]
        for client in clients:
            with client:
                client.send(REQUEST)
                client.recv(4096)
        # A late round is not caught up, because that would be a burst.
        due = max(due + _ROUND_SECONDS, monotonic())
        yield max(0.0, due - monotonic())


def _cron() -> Iterator[float]:
    """Start processes that exit at once."""
    while True:
        if os.fork() == 0:
            os._exit(0)
        yield 1 / JOBS
        os.waitpid(-1, 0)


def _build(builder: LabBuilder) -> None:
    # As towards another host: on loopback connect() would reuse ports in TIME_WAIT after a second.
    builder.set_sysctl("net.ipv4.tcp_tw_reuse", 0)
    # Without nft, connections are not tracked.
    with suppress(RuntimeError):
        enable_conntrack()
    with listen(CHURN) as listener:
        builder.start("web-server", partial(serve_echo, listener, 1024))
    builder.start("clients", _clients)
    builder.start("cron", _cron)


LAB = Lab(
    name="short-lived-churn",
    ceiling=None,
    title="short-lived connections",
    scenario="200 connections per second that last for one request, and processes that come and go.",
    what_to_see="no alarm: TIME_WAIT levels off at 12,000, less than half of the ports",
    claim="growth that ends below the limit raises no alarm, nor do counters that rise as usual",
    build=_build,
    expect_first=None,
    check_seconds=60.0,
)
