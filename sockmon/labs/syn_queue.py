"""Handshakes that never finish: with SYN cookies the server continues to serve, without them it drops SYNs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.loads.port_numbers import HALF_OPEN
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import listen, start_connect

BACKLOG = 64
_HELD = (BACKLOG // 2, BACKLOG + 1)
"""The kernel drops the oldest earlier while the queue is more than half full; new ones fill it again."""


def _clients() -> Iterator[float]:
    """Start twice what the queue holds, then replace the oldest, like clients behind a firewall."""
    held = [start_connect(HALF_OPEN, drop_replies=True) for _ in range(2 * BACKLOG)]
    while held:
        yield 0.05
        held.append(start_connect(HALF_OPEN, drop_replies=True))
        held.pop(0).close()


def _build(builder: LabBuilder, cookies: int) -> None:
    builder.set_sysctl("net.ipv4.tcp_syncookies", cookies)
    builder.set_sysctl("net.ipv4.tcp_synack_retries", 30)
    with listen(HALF_OPEN, BACKLOG) as listener:
        builder.start("login-server", partial(hold_open, listener))
    builder.start("deaf-clients", _clients)


COOKIES = Lab(
    name="syn-queue",
    ceiling="syn-queue",
    title="handshakes that never finish",
    scenario="Clients start handshakes with a server whose backlog is 64, and never finish them.",
    what_to_see="SYN queue of login-server at 64, TCPReqQFullDoCookies rising: still serving",
    claim="the listener with the waiting handshakes is reported, and that SYN cookies keep it reachable",
    build=partial(_build, cookies=1),
    expect_first=Expect(
        "syn-queue",
        r"^0\.0\.0\.0:8084 login-server\[\d+\]$",
        _HELD,
        (BACKLOG, BACKLOG),
        ("hit",),
        "application",
    ),
    expect_no_alarm=("accept-queue", "process-fds", "ephemeral-ports", "tcp-memory", "conntrack-table"),
)

DROPS = Lab(
    name="syn-drops",
    ceiling="syn-queue",
    title="handshakes that never finish, without SYN cookies",
    scenario="As in syn-queue, but SYN cookies are off: the kernel drops every further SYN.",
    what_to_see="SYN queue of login-server at 64, and TCPReqQFullDrop rising",
    claim="dropped SYNs are not mistaken for sent cookies, nor for a full accept queue",
    build=partial(_build, cookies=0),
    expect_first=COOKIES.expect_first,
    expect_no_alarm=COOKIES.expect_no_alarm,
)
