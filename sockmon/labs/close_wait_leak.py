"""A server that never closes what its clients have closed: no limit is high enough for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.files import accept_and_never_close
from sockmon.sandbox.loads.port_numbers import FORGETFUL
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import LOOPBACK, connect, listen
from sockmon.sandbox.workers import FOREVER

LIMIT, BACKLOG = 256, 16


def _clients() -> Iterator[float]:
    """Send one request each and close: slightly more than the server can hold; the rest fits into its queue."""
    for _ in range(LIMIT):
        with connect(LOOPBACK, FORGETFUL) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
    yield FOREVER


def _build(builder: LabBuilder) -> None:
    with listen(FORGETFUL, BACKLOG) as listener:
        builder.start("forgetful", partial(accept_and_never_close, listener, LIMIT))
    builder.start("clients", _clients)


LAB = Lab(
    name="close-wait-leak",
    ceiling="process-fds",
    title="a server that never closes",
    scenario="Clients send a request and close; the server may open 256 files and closes no connection.",
    what_to_see="open files of forgetful at 256/256, nearly all in CLOSE_WAIT: fix the server",
    claim="growing CLOSE_WAIT is a leak of the application: the first remedy is to fix it, not a sysctl",
    build=_build,
    expect_first=hit("process-fds", r"^forgetful\[\d+\]$", LIMIT, "application"),
    expect_no_alarm=("ephemeral-ports", "time-wait-buckets", "conntrack-table", "tcp-orphans", "tcp-memory"),
    check_seconds=3.0,
)
