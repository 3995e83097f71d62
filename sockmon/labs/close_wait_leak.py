"""A server that never closes what its clients have closed: no limit is high enough for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.files import keep_accepting
from sockmon.labs.loads.pairs import connect, listen
from sockmon.labs.loads.places import FORGETFUL
from sockmon.labs.stage import Stage

LIMIT, BACKLOG = 256, 16


def _clients() -> Iterator[float]:
    """Ask once and go: a few more than the server can hold, which fit into its queue."""
    for _ in range(LIMIT):
        with connect("127.0.0.1", FORGETFUL) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
    while True:
        yield 1.0


def _build(stage: Stage) -> None:
    with listen(FORGETFUL, BACKLOG) as listener:
        stage.start("forgetful", partial(keep_accepting, listener, LIMIT))
    stage.start("clients", _clients)


LAB = Lab(
    name="close-wait-leak",
    ceiling="process-fds",
    title="a server that never closes",
    does="Clients ask and close; the server may open 256 files and closes none of its connections.",
    look="open files of forgetful at 256/256, nearly all in CLOSE_WAIT: fix the server",
    proves="CLOSE_WAIT that grows is the application's own leak: the first remedy is to fix it, and no sysctl",
    build=_build,
    first=Expect("process-fds", r"^forgetful\[\d+\]$", (LIMIT, LIMIT), (LIMIT, LIMIT), ("hit",), "application"),
    never=("ephemeral-ports", "time-wait-buckets", "conntrack-table", "tcp-orphans", "tcp-memory"),
    watch=3.0,
)
