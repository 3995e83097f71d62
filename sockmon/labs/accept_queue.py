"""A server that does not accept: its queue is full, and the kernel drops whoever comes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.halves import accept_never, try_to_connect
from sockmon.labs.loads.pairs import connect, listen
from sockmon.labs.loads.places import STUCK
from sockmon.labs.stage import Stage

BACKLOG = 64


def _clients() -> Iterator[float]:
    """Fill the queue, which holds one more than the backlog, then knock again and again."""
    held = [connect("127.0.0.1", STUCK) for _ in range(BACKLOG + 1)]
    while held:
        try_to_connect(STUCK).close()
        yield 0.2


def _build(stage: Stage) -> None:
    with listen(STUCK, BACKLOG) as listener:
        stage.start("stuck-app", partial(accept_never, listener))
    stage.start("clients", _clients)


LAB = Lab(
    name="accept-queue",
    ceiling="accept-queue",
    title="a server that does not accept",
    does="A server listens with a backlog of 64, is stuck, and clients keep coming.",
    look="accept queue of 0.0.0.0:8081 at 65/64, and ListenOverflows that moves",
    proves="the full queue is named with its listener and owner, and overflows inside the window are the evidence",
    build=_build,
    first=Expect(
        "accept-queue",
        r"^0\.0\.0\.0:8081 stuck-app\[\d+\]$",
        (65, 65),
        (BACKLOG, BACKLOG),
        ("hit",),
        "application",
    ),
    never=("process-fds", "ephemeral-ports", "syn-queue", "tcp-memory", "conntrack-table"),
)
