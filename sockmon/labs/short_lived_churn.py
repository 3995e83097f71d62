"""Health: nothing that lasts. Connections and processes come and go, and the limits are far away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from time import monotonic

from sockmon.labs.lab import Lab
from sockmon.labs.loads.pairs import connect, listen
from sockmon.labs.loads.places import CHURN
from sockmon.labs.loads.tracking import track_connections
from sockmon.labs.loads.traffic import REQUEST, echo
from sockmon.labs.stage import Stage

RATE, JOBS = 200, 5
"""Connections and processes each second."""
_ROUND = 0.05


def _clients() -> Iterator[float]:
    due = monotonic()
    while True:
        clients = [connect("127.0.0.1", CHURN) for _ in range(round(RATE * _ROUND))]
        for client in clients:
            with client:
                client.send(REQUEST)
                client.recv(4096)
        # What was late is not made good: no bursts.
        due = max(due + _ROUND, monotonic())
        yield max(0.0, due - monotonic())


def _cron() -> Iterator[float]:
    """Processes that live for a moment."""
    while True:
        if os.fork() == 0:
            os._exit(0)
        yield 1 / JOBS
        os.waitpid(-1, 0)


def _build(stage: Stage) -> None:
    # As towards another host: on loopback connect() takes ports in TIME_WAIT again after a second.
    stage.set_sysctl("net.ipv4.tcp_tw_reuse", 0)
    # Where nft is not there, connections are not tracked.
    with suppress(RuntimeError):
        track_connections()
    with listen(CHURN) as listener:
        stage.start("web-server", partial(echo, listener, 1024))
    stage.start("clients", _clients)
    stage.start("cron", _cron)


LAB = Lab(
    name="short-lived-churn",
    ceiling=None,
    title="short-lived connections",
    does="200 connections a second that last for one request, and processes that come and go.",
    look="no alarm: TIME_WAIT levels off at 12,000, less than half of the ports",
    proves="growth that must end below the limit is no alarm, and neither are counters that only count",
    build=_build,
    first=None,
    watch=60.0,
)
