"""A server that has used up its descriptors: what it cannot accept waits in its queue until that is full too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import sleep

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.files import keep_accepting
from sockmon.labs.loads.halves import try_to_connect
from sockmon.labs.loads.pairs import connect, listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.stage import Stage

LIMIT, BACKLOG = 256, 16


def _clients() -> Iterator[float]:
    """More than it can take, and one more each time that the kernel drops."""
    held = [connect("127.0.0.1", WEB) for _ in range(LIMIT - 2 * BACKLOG)]
    while len(held) < LIMIT + 2 * BACKLOG:
        held.append(try_to_connect(WEB))
        sleep(0.005)
    while True:
        try_to_connect(WEB).close()
        yield 0.3


def _build(stage: Stage) -> None:
    with listen(WEB, BACKLOG) as listener:
        stage.start("api-server", partial(keep_accepting, listener, LIMIT))
    stage.start("clients", _clients)


LAB = Lab(
    name="process-fds",
    ceiling="process-fds",
    title="a server at EMFILE",
    does="A server may open 256 files and keeps every connection; more clients come than that.",
    look="open files of api-server at 256/256, and the full accept queue below it",
    proves="descriptors that ran out come before the accept queue that overflows because of them",
    build=_build,
    first=Expect(
        "process-fds", r"^api-server\[\d+\]$", (LIMIT, LIMIT), (LIMIT, LIMIT), ("hit",), "rlimit", "nofile"
    ),
    never=("ephemeral-ports", "conntrack-table", "tcp-memory", "tcp-orphans", "time-wait-buckets"),
    watch=3.0,
)
