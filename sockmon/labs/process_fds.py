"""A server that has used up its descriptors: what it cannot accept waits in its queue until that is full too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import sleep

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.files import accept_and_never_close
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import LOOPBACK, connect, listen, start_connect

LIMIT, BACKLOG = 256, 16


def _clients() -> Iterator[float]:
    """Open more connections than the server can hold, then try one more again and again."""
    held = [connect(LOOPBACK, WEB) for _ in range(LIMIT - 2 * BACKLOG)]
    while len(held) < LIMIT + 2 * BACKLOG:
        held.append(start_connect(WEB))
        sleep(0.005)
    while True:
        start_connect(WEB).close()
        yield 0.3


def _build(builder: LabBuilder) -> None:
    with listen(WEB, BACKLOG) as listener:
        builder.start("api-server", partial(accept_and_never_close, listener, LIMIT))
    builder.start("clients", _clients)


LAB = Lab(
    name="process-fds",
    ceiling="process-fds",
    title="a server at its descriptor limit",
    scenario="A server may open 256 files and keeps every connection; more clients connect than that.",
    what_to_see="open files of api-server at 256/256, and the full accept queue below it",
    claim="exhausted descriptors are listed before the accept queue that overflows because of them",
    build=_build,
    expect_first=hit("process-fds", r"^api-server\[\d+\]$", LIMIT, "rlimit", "nofile"),
    expect_no_alarm=("ephemeral-ports", "conntrack-table", "tcp-memory", "tcp-orphans", "time-wait-buckets"),
    check_seconds=3.0,
)
