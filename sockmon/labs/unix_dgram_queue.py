"""A log daemon that does not read: programs that log to it block, or lose their messages. What they sent cannot be
counted if they have ended; and a socket keeps the limit that it was made with."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.workers import FOREVER

MAX_QUEUED, WRITERS = 10, 4
LOG = "\0run/log"
"""An abstract address; a path would be a file of the host."""
LINE = b"<30>web[7]: GET /cart 200 12 ms"


def _writer() -> Iterator[float]:
    """Log ten lines per second without blocking; soon the queue is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_log:
        to_log.connect(LOG)
        to_log.setblocking(False)
        while True:
            # EAGAIN: the server drops the line and continues.
            with suppress(BlockingIOError):
                to_log.send(LINE)
            yield 0.1


def _wait_until_full() -> None:
    """Block until no more message fits: ten lines per second take longer on a busy machine."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.connect(LOG)
        while select.select([], [probe], [], 0)[1]:
            time.sleep(0.05)


def _logger(messages: int) -> Iterator[float]:
    """Send each message from a socket of its own, as loggers that end would; then block in one more send()."""
    for number in range(messages):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_log:
            to_log.sendto(LINE + b" " * number, LOG)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_log:
        threading.Thread(target=to_log.sendto, args=(LINE, LOG), daemon=True).start()
        yield FOREVER


def _reading_daemon(log: socket.socket) -> Iterator[float]:
    """Read each message at once."""
    threading.Thread(target=_read_all, args=(log,), daemon=True).start()
    yield FOREVER


def _read_all(log: socket.socket) -> None:
    while True:
        log.recv(4096)


def _short_lived_loggers() -> Iterator[float]:
    """Send bursts that fit, each message from a socket that is closed at once."""
    while True:
        for _ in range(MAX_QUEUED):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_log:
                to_log.sendto(LINE, LOG)
        yield 0.5


def _build_ended(builder: LabBuilder) -> None:
    builder.set_sysctl("net.unix.max_dgram_qlen", MAX_QUEUED)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(LOG)
        builder.start("logd", partial(hold_open, log))
    builder.start("logger", partial(_logger, MAX_QUEUED + 1))


def _build_older(builder: LabBuilder) -> None:
    builder.set_sysctl("net.unix.max_dgram_qlen", MAX_QUEUED)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(LOG)
        builder.start("logd", partial(hold_open, log))
    builder.set_sysctl("net.unix.max_dgram_qlen", 50 * MAX_QUEUED)
    builder.start("web", _writer)
    builder.wait()
    _wait_until_full()


def _build_reading(builder: LabBuilder) -> None:
    builder.set_sysctl("net.unix.max_dgram_qlen", 10 * MAX_QUEUED)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(LOG)
        builder.start("logd", partial(_reading_daemon, log))
    builder.wait()
    builder.start("logger", _short_lived_loggers)


def _build(builder: LabBuilder) -> None:
    builder.set_sysctl("net.unix.max_dgram_qlen", MAX_QUEUED)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(LOG)
        builder.start("logd", partial(hold_open, log))
    for _ in range(WRITERS):
        builder.start("web", _writer)
    builder.wait()
    _wait_until_full()


LAB = Lab(
    name="unix-dgram-queue",
    ceiling="unix-dgram-queue",
    title="a log daemon that does not read",
    scenario="Four web servers log to a daemon that does not read; its queue holds max_dgram_qlen + 1 messages.",
    what_to_see="unix datagram queue of logd at 11/10; send() fails with EAGAIN, or blocks",
    claim="this cause of EAGAIN, which no counter shows, is reported with the reader that is stuck",
    build=_build,
    expect_first=Expect(
        "unix-dgram-queue",
        r"run/log logd\[\d+\]$",
        (MAX_QUEUED + 1, MAX_QUEUED + 1),
        (MAX_QUEUED, MAX_QUEUED),
        ("hit",),
        "application",
    ),
    expect_no_alarm=("process-fds", "accept-queue", "udp-ports", "user-processes", "cgroup-pids"),
)

ENDED = replace(
    LAB,
    name="unix-dgram-ended",
    title="a log daemon that does not read, and loggers that have ended",
    scenario="Short-lived loggers fill the queue of a daemon that does not read; they cannot be counted.",
    what_to_see="unix datagram queue of logd at 11/10, with the logger that is blocked",
    claim="a full queue is proved by the kernel where no message can be counted",
    build=_build_ended,
)

OLDER_LIMIT = replace(
    LAB,
    name="unix-dgram-older-limit",
    title="a log daemon that was started before the limit was raised",
    scenario="net.unix.max_dgram_qlen was raised to 500; the socket of a daemon that does not read still has 10.",
    what_to_see="unix datagram queue of logd at 11/10, not 11/500",
    claim="a socket keeps the limit that it was made with, and a restart is advised, not a higher limit",
    build=_build_older,
    # Less than two seconds after the start the queue is not yet full.
    check_seconds=4.0,
)

READING = Lab(
    name="unix-dgram-reading",
    ceiling=None,
    title="a log daemon that reads what short-lived loggers send",
    scenario="Loggers that end at once send bursts of ten messages; the daemon reads each at once.",
    what_to_see="no alarm: the queue has room",
    claim="messages that cannot be counted are no alarm while the kernel reports room",
    build=_build_reading,
    expect_first=None,
    check_seconds=4.0,
)
