"""A server that has taken nearly every process id of its pid namespace."""

from __future__ import annotations

from functools import partial

from sockmon.errors import LabUnavailable
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.pairs import listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.loads.threads import serve_by_threads, until_refused
from sockmon.labs.stage import Stage

IDS = 1024
FREE = 24
"""Ids that are left, so that whoever looks can start something."""


def _build(stage: Stage) -> None:
    if not stage.isolated:
        raise LabUnavailable("there is no pid namespace of its own, and the host's kernel.pid_max is not touched")
    stage.set_sysctl("kernel.pid_max", IDS)
    with listen(WEB) as listener:
        stage.start("app-server", partial(serve_by_threads, listener))
    stage.start("clients", partial(until_refused, WEB, FREE))


LAB = Lab(
    name="pid-max",
    ceiling="pid-max",
    title="a server without process ids",
    does="A server starts threads until all 1,024 ids are taken; then 24 of them end, so that one can look.",
    look="process ids of this pid namespace near 1,024: fork() fails, for root too",
    proves="ids are counted where kernel.pid_max applies, with those below 300 that are never given out again",
    build=_build,
    first=Expect(
        "pid-max",
        r"^pid:\[\d+\]$",
        (IDS - FREE - 40, IDS),
        (IDS, IDS),
        ("critical", "hit"),
        "sysctl",
        "kernel.pid_max",
    ),
    never=("user-processes", "cgroup-pids", "memory-maps", "process-fds", "accept-queue"),
    needs=("Linux 6.14",),
)
