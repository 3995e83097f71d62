"""Clients that close first, and more of them in a minute than the kernel keeps in TIME_WAIT."""

from __future__ import annotations

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.ports import churn
from sockmon.labs.stage import Stage

BUCKETS = 100


def _build(stage: Stage) -> None:
    stage.set_sysctl("net.ipv4.tcp_max_tw_buckets", BUCKETS)
    churn(stage.crew, rate=200, seconds=3600)


LAB = Lab(
    name="time-wait-buckets",
    ceiling="time-wait-buckets",
    title="clients that close first",
    does="Clients open 200 connections a second and close them first; the kernel keeps 100 in TIME_WAIT.",
    look="TIME_WAIT at 100/100 and TCPTimeWaitOverflow that moves: none is refused",
    proves="the overflow is the evidence, and what it means is told: closed without TIME_WAIT, nothing refused",
    build=_build,
    # A minute after the start all of them end together, and the next second fills them again.
    first=Expect("time-wait-buckets", r".", (1, BUCKETS), (BUCKETS, BUCKETS), ("hit",), "application"),
    never=("ephemeral-ports", "bound-ports", "process-fds", "accept-queue", "syn-queue", "tcp-orphans"),
)
