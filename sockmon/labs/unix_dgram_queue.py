"""A log daemon that does not read: whoever logs is held up, or loses what it says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sockmon.labs.crew import FOREVER
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.stage import Stage

LENGTH, WRITERS = 10, 4
LOG = "\0run/log"
"""Abstract: a path would be a file of the host's."""
LINE = b"<30>web[7]: GET /cart 200 12 ms"


def _stuck(log: socket.socket) -> Iterator[float]:
    yield FOREVER
    log.close()


def _writer() -> Iterator[float]:
    """Log a line now and then, without waiting for the reader; the queue has no room for the third or fourth."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_log:
        to_log.connect(LOG)
        to_log.setblocking(False)
        while True:
            # EAGAIN: a server that does not wait for its log goes on without the line.
            with suppress(BlockingIOError):
                to_log.send(LINE)
            yield 0.1


def _build(stage: Stage) -> None:
    stage.set_sysctl("net.unix.max_dgram_qlen", LENGTH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(LOG)
        stage.start("logd", partial(_stuck, log))
    for _ in range(WRITERS):
        stage.start("web", _writer)


LAB = Lab(
    name="unix-dgram-queue",
    ceiling="unix-dgram-queue",
    title="a log daemon that is stuck",
    does="Four web servers log to a daemon that does not read; its queue holds max_dgram_qlen + 1 messages.",
    look="unix datagram queue of logd at 11/10: send() fails with EAGAIN, or blocks",
    proves="the fifth cause of EAGAIN that no counter shows is named with the reader that is stuck",
    build=_build,
    first=Expect(
        "unix-dgram-queue",
        r"run/log logd\[\d+\]$",
        (LENGTH + 1, LENGTH + 1),
        (LENGTH, LENGTH),
        ("hit",),
        "application",
    ),
    never=("process-fds", "accept-queue", "udp-ports", "user-processes", "cgroup-pids"),
)
