"""Process ids: how many a pid namespace has, and which of them are reused."""

from __future__ import annotations

import os
import signal
from typing import Any

from sockmon.errors import LabUnavailable
from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.child_process import start_sleeper
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces

_KEY = "kernel.pid_max"
_LOW, _HIGH = 340, 350
_RESERVED = 300
"""RESERVED_PIDS of kernel/pid.c."""


def _fork_until_refused() -> list[int]:
    """Start children that do nothing until fork() fails, and return their pids."""
    started: list[int] = []
    while len(started) < _HIGH:
        try:
            started.append(start_sleeper())
        except BlockingIOError:
            break
    return started


def _end(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _ids() -> dict[str, Any]:
    set_sysctl(_KEY, str(_LOW))
    first = _fork_until_refused()
    if not first or max(first) < _RESERVED:
        raise LabUnavailable("another task limit is reached first")
    _end([pid for pid in first if pid < _RESERVED])
    again = _fork_until_refused()
    set_sysctl(_KEY, str(_HIGH))
    return {
        "highest": max(first),
        "ended": sum(pid < _RESERVED for pid in first),
        "again": len(again),
        "more": len(_fork_until_refused()),
    }


def _pid_max(builder: LabBuilder) -> Result:
    builder.require_pid_namespace()
    [found] = measure_in_namespaces(builder, 2, _ids, ())
    steps = [
        Step(
            f"{_KEY}={_LOW}",
            f"fork() failed with EAGAIN, even for root; the highest id was {found['highest']}",
            "the highest id is one less than this",
            found["highest"] == _LOW - 1,
        ),
        Step(
            f"{_KEY}={_LOW}",
            f"{found['ended']} processes with ids below {_RESERVED} ended: {found['again']} new ones could start",
            "ids below 300 are not reused",
            found["ended"] > 0 and found["again"] == 0,
        ),
        Step(f"{_KEY}={_HIGH}", f"{found['more']} more", "it takes effect at once", found["more"] == _HIGH - _LOW),
    ]
    numbers = (
        f"with kernel.pid_max={_LOW} the highest id was {found['highest']}, and {found['ended']} free ids below"
        f" {_RESERVED} were not reused; {found['more']} more started with {_HIGH}"
    )
    return Result(steps, numbers, "this limits the ids of a pid namespace, at once")


EXPERIMENTS = (
    Experiment(
        _KEY, "limits the ids of a pid namespace; ids below 300 are not reused", _pid_max, 2, ("Linux 6.14",)
    ),
)
