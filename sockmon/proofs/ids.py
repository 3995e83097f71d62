"""Process ids: how many there are in a pid namespace, and which are given out again."""

from __future__ import annotations

import os
import signal
from typing import Any

from sockmon.errors import LabUnavailable
from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs.apart import apart
from sockmon.proofs.other import sleeper
from sockmon.proofs.proof import Finding, Proof, Step

_KEY = "kernel.pid_max"
_LOW, _HIGH = 340, 350
_RESERVED = 300
"""RESERVED_PIDS of kernel/pid.c."""


def _fork_until_refused() -> list[int]:
    """The pids of children that do nothing."""
    started: list[int] = []
    while len(started) < _HIGH:
        try:
            started.append(sleeper())
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
        raise LabUnavailable("another limit of tasks is met first")
    _end([pid for pid in first if pid < _RESERVED])
    again = _fork_until_refused()
    set_sysctl(_KEY, str(_HIGH))
    return {
        "highest": max(first),
        "ended": sum(pid < _RESERVED for pid in first),
        "again": len(again),
        "more": len(_fork_until_refused()),
    }


def _pid_max(stage: Stage) -> Finding:
    if not stage.isolated:
        raise LabUnavailable("there is no pid namespace of its own, and the host's kernel.pid_max is not touched")
    [found] = apart(stage, 2, _ids, ())
    steps = [
        Step(
            f"{_KEY}={_LOW}",
            f"fork() failed with EAGAIN, for root too; the highest id was {found['highest']}",
            "the highest id is one less than this",
            found["highest"] == _LOW - 1,
        ),
        Step(
            f"{_KEY}={_LOW}",
            f"{found['ended']} processes with ids below {_RESERVED} ended: {found['again']} could be started",
            "ids below 300 are not given out again",
            found["ended"] > 0 and found["again"] == 0,
        ),
        Step(f"{_KEY}={_HIGH}", f"{found['more']} more", "it counts at once", found["more"] == _HIGH - _LOW),
    ]
    numbers = (
        f"with kernel.pid_max={_LOW} the highest id was {found['highest']}, and {found['ended']} free ones below"
        f" {_RESERVED} were of no use; {found['more']} more started with {_HIGH}"
    )
    return Finding(steps, numbers, "this limits the ids of a pid namespace, at once")


PROOFS = (Proof(_KEY, "the ids of a pid namespace, and those that are lost", _pid_max, 2, ("Linux 6.14",)),)
