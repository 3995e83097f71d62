"""Measurements that run at the same time, each in a new network namespace."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sockmon.sandbox import namespaces
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.child_process import ChildProcess, detach_stdin


def measure_in_namespaces(
    builder: LabBuilder, seconds: float, measure: Callable[..., Any], *cases: Sequence[Any]
) -> list[Any]:
    """Return what `measure(*case)` returned for each of `cases`, as plain JSON, after about `seconds`.

    Raise LabUnavailable or RuntimeError with the reason of one that failed, SystemExit if our stdin ends."""
    children = [_start(measure, case) for case in cases]
    results: dict[ChildProcess, Any] = {}
    begin = time.monotonic()
    while waiting := [child for child in children if child not in results]:
        builder.progress((time.monotonic() - begin) / seconds, "measuring")
        ready, _, _ = select.select([0, *(child.fileno() for child in waiting)], [], [], 0.5)
        if 0 in ready:
            sys.exit(1)
        for child in waiting:
            if child.fileno() in ready:
                results[child] = child.receive()
                child.kill()
    return [results[child] for child in children]


def sysctl_in_new_namespace(key: str) -> str:
    """Return the value of a sysctl in a network namespace that is made now, from within this one."""
    child = _start(read_sysctl, (key,))
    value = str(child.receive())
    child.kill()
    return value


def read_sysctl(key: str) -> str:
    """Return the value of a sysctl in this namespace, with single spaces."""
    return " ".join(Path("/proc/sys", key.replace(".", "/")).read_text().split())


def _start(measure: Callable[..., Any], case: Sequence[Any]) -> ChildProcess:
    child = ChildProcess(partial(_measure, measure))
    child.send(case)
    return child


def _measure(measure: Callable[..., Any], case: Sequence[Any]) -> Any:
    """Run in the child: enter a new network namespace and measure there."""
    detach_stdin()
    namespaces.enter(user_namespace=False)
    return measure(*case)
