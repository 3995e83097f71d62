"""`python -m tests.work.agent_work`: the work of the agent for each tick, on this host, as JSON.

strace(1) sees where counting begins and ends: a file of that name is looked for."""

from __future__ import annotations

import json
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from tests.work.calls import PYTHON_CALLS, CallCounter, of_package
from tests.work.clock import EndOfRun, VirtualClock

if TYPE_CHECKING:
    from sockmon.agent.server import StreamServer

BEGIN, END = "/counting-begins", "/counting-ends"
WARM_UP, COUNTED = 20, 20
"""Ticks until caches are filled and no process is young any more, and those for which work is counted."""


def main() -> None:
    """Run the agent, first to warm it up, then to count."""
    clock = VirtualClock()
    clock.install()
    # Now that they find these clocks.
    from sockmon.agent.sampler import open_sampler
    from sockmon.agent.server import StreamServer

    # What other programs of the machine do with TCP must not decide whether dumps are repeated.
    clock.on_sleep = partial(_connect_and_close, socket.create_server(("127.0.0.1", 0)))
    reader, requests = os.pipe()
    stream = os.memfd_create("stream")
    with open_sampler(None, 1.0, others=False) as sampler:
        server = StreamServer(sampler, stream, reader, attached=True)
        _serve(server, clock, WARM_UP)
        sleeps, size = clock.sleeps, os.fstat(stream).st_size
        with CallCounter() as calls:
            os.path.exists(BEGIN)
            _serve(server, clock, COUNTED)
            os.path.exists(END)
        found = {
            "wake-ups": clock.sleeps - sleeps,
            PYTHON_CALLS: of_package(calls.counts, "sockmon"),
            "bytes of the stream": os.fstat(stream).st_size - size,
        }
    os.close(requests)
    print(json.dumps({name: total / COUNTED for name, total in found.items()}))  # noqa: T201


def _connect_and_close(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()), server.accept()[0]:
        pass


def _serve(server: StreamServer, clock: VirtualClock, ticks: int) -> None:
    clock.ends = clock.now() + ticks
    try:
        server.run()
    except EndOfRun:
        return


if __name__ == "__main__":
    main()
