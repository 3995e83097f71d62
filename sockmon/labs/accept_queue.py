"""A server that never calls accept(): its queue is full, and the kernel drops new connections."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import hold_open
from sockmon.sandbox.loads.port_numbers import STUCK
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK, connect, listen, start_connect

BACKLOG = 64
OLD_CAP, NEW_CAP, ASKED = 128, 8192, 2048


def _clients(backlog: int) -> Iterator[float]:
    """Fill the queue, which holds one more than the backlog, then try to connect again and again."""
    held = [connect(LOOPBACK, STUCK) for _ in range(backlog + 1)]
    while held:
        start_connect(STUCK).close()
        yield 0.2


def _build(builder: LabBuilder) -> None:
    with listen(STUCK, BACKLOG) as listener:
        builder.start("stuck-app", partial(hold_open, listener))
    builder.start("clients", partial(_clients, BACKLOG))


def _build_stale_cap(builder: LabBuilder) -> None:
    builder.set_sysctl("net.core.somaxconn", OLD_CAP)
    with listen(STUCK, ASKED) as listener:
        builder.start("app-server", partial(hold_open, listener))
    builder.set_sysctl("net.core.somaxconn", NEW_CAP)
    builder.start("clients", partial(_clients, OLD_CAP))


LAB = Lab(
    name="accept-queue",
    ceiling="accept-queue",
    title="a server that does not accept",
    scenario="A server listens with a backlog of 64 and never calls accept(), while clients keep connecting.",
    what_to_see="accept queue of 0.0.0.0:8081 at 65/64, and ListenOverflows rising",
    claim="a full queue is reported with its listener and owner, and overflows in the window are the evidence",
    build=_build,
    expect_first=Expect(
        "accept-queue",
        r"^0\.0\.0\.0:8081 stuck-app\[\d+\]$",
        (BACKLOG + 1, BACKLOG + 1),
        (BACKLOG, BACKLOG),
        ("hit",),
        "application",
    ),
    expect_no_alarm=("process-fds", "ephemeral-ports", "syn-queue", "tcp-memory", "conntrack-table"),
)

STALE_CAP = Lab(
    name="stale-somaxconn",
    ceiling="accept-queue",
    title="somaxconn was raised, but the server still has its old backlog",
    scenario="A server asks for a backlog of 2,048 while somaxconn is 128; then somaxconn is raised to 8,192.",
    what_to_see="accept queue of app-server at 129/128; the advice is to restart it first",
    claim="a backlog that an older net.core.somaxconn may have capped is not called the application's own",
    build=_build_stale_cap,
    expect_first=Expect(
        "accept-queue",
        r"^0\.0\.0\.0:8081 app-server\[\d+\]$",
        (OLD_CAP + 1, OLD_CAP + 1),
        (OLD_CAP, OLD_CAP),
        ("hit",),
        "application",
    ),
    expect_no_alarm=("process-fds", "ephemeral-ports", "syn-queue"),
)
