"""Handshakes that nobody finishes: with SYN cookies the server goes on, without them it turns clients away."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.halves import accept_never, try_to_connect
from sockmon.labs.loads.pairs import listen
from sockmon.labs.loads.places import HALF_OPEN
from sockmon.labs.stage import Stage

BACKLOG = 64
_HELD = (BACKLOG // 2, BACKLOG + 1)
"""The kernel gives the oldest up earlier while a queue is more than half full; new ones fill it again."""


def _clients() -> Iterator[float]:
    """Twice what the queue holds, and one more each time, as from clients behind a firewall that loses answers."""
    held = [try_to_connect(HALF_OPEN, deaf=True) for _ in range(2 * BACKLOG)]
    while held:
        yield 0.05
        held.append(try_to_connect(HALF_OPEN, deaf=True))
        held.pop(0).close()


def _build(stage: Stage, cookies: int) -> None:
    stage.set_sysctl("net.ipv4.tcp_syncookies", cookies)
    stage.set_sysctl("net.ipv4.tcp_synack_retries", 30)
    with listen(HALF_OPEN, BACKLOG) as listener:
        stage.start("login-server", partial(accept_never, listener))
    stage.start("deaf-clients", _clients)


COOKIES = Lab(
    name="syn-queue",
    ceiling="syn-queue",
    title="handshakes that nobody finishes",
    does="Clients start connections to a server with a backlog of 64 and never finish the handshake.",
    look="SYN queue of login-server at 64, TCPReqQFullDoCookies moves: still served",
    proves="the listener whose handshakes wait is named, and that cookies keep it open to others",
    build=partial(_build, cookies=1),
    first=Expect(
        "syn-queue",
        r"^0\.0\.0\.0:8084 login-server\[\d+\]$",
        _HELD,
        (BACKLOG, BACKLOG),
        ("hit",),
        "application",
    ),
    never=("accept-queue", "process-fds", "ephemeral-ports", "tcp-memory", "conntrack-table"),
)

DROPS = Lab(
    name="syn-drops",
    ceiling="syn-queue",
    title="handshakes that nobody finishes, without cookies",
    does="As in syn-queue, with SYN cookies off: the kernel drops the SYN of whoever comes.",
    look="SYN queue of login-server at 64, and TCPReqQFullDrop that moves",
    proves="SYNs that are lost are told from cookies that are sent, and from an accept queue that is full",
    build=partial(_build, cookies=0),
    first=COOKIES.first,
    never=COOKIES.never,
)
