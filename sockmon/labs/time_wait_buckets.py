"""Clients that close first, and more per minute than the kernel keeps in TIME_WAIT."""

from __future__ import annotations

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.ports import start_churn
from sockmon.sandbox.scenario import Expect, Lab

BUCKETS = 100


def _build(builder: LabBuilder) -> None:
    builder.set_sysctl("net.ipv4.tcp_max_tw_buckets", BUCKETS)
    start_churn(builder.workers, rate=200, seconds=3600)


LAB = Lab(
    name="time-wait-buckets",
    ceiling="time-wait-buckets",
    title="clients that close first",
    scenario="Clients open 200 connections per second and close them first; the kernel keeps 100 in TIME_WAIT.",
    what_to_see="TIME_WAIT at 100/100, TCPTimeWaitOverflow rising; no connection is refused",
    claim="an overflow means that sockets close without TIME_WAIT, and that no connection is refused",
    build=_build,
    # A minute after the start all of them end at once; within a second there are 100 again.
    expect_first=Expect("time-wait-buckets", r".", (1, BUCKETS), (BUCKETS, BUCKETS), ("hit",), "application"),
    expect_no_alarm=("ephemeral-ports", "bound-ports", "process-fds", "accept-queue", "syn-queue", "tcp-orphans"),
)
