"""A server that has used nearly every process id of its pid namespace."""

from __future__ import annotations

from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.loads.threads import connect_until_refused, serve_with_threads
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import listen

IDS = 1024
FREE = 24
"""Ids that are left, so that sockmon itself can start."""


def _build(builder: LabBuilder) -> None:
    builder.require_pid_namespace()
    builder.set_sysctl("kernel.pid_max", IDS)
    with listen(WEB) as listener:
        builder.start("app-server", partial(serve_with_threads, listener))
    builder.start("clients", partial(connect_until_refused, WEB, FREE))


LAB = Lab(
    name="pid-max",
    ceiling="pid-max",
    title="a server without free process ids",
    scenario="A server starts threads until all 1,024 ids are used; then 24 end, so that commands can run.",
    what_to_see="process ids of this pid namespace near 1,024; fork() fails, even for root",
    claim="ids are counted against kernel.pid_max of the namespace, with those below 300 that are never reused",
    build=_build,
    expect_first=Expect(
        "pid-max",
        r"^pid:\[\d+\]$",
        (IDS - FREE - 40, IDS),
        (IDS, IDS),
        ("critical", "hit"),
        "sysctl",
        "kernel.pid_max",
    ),
    expect_no_alarm=("user-processes", "cgroup-pids", "memory-maps", "process-fds", "accept-queue"),
    needs=("Linux 6.14",),
)
