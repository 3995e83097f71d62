"""Measurements in network namespaces of their own, all at the same time."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sockmon.errors import LabUnavailable
from sockmon.labs import namespaces
from sockmon.labs.stage import Stage


def apart(
    stage: Stage, seconds: float, measure: Callable[..., Any], *each: Sequence[Any], words: str = "measuring"
) -> list[Any]:
    """What `measure(*arguments)` returned for `each` arguments, as plain JSON, after about `seconds`.

    LabUnavailable or RuntimeError with the reason of the first that failed, SystemExit when whoever holds our
    stdin has gone."""
    doors = [_started(measure, arguments) for arguments in each]
    said = dict.fromkeys(doors, b"")
    begin, waiting = time.monotonic(), set(doors)
    while waiting:
        stage.progress((time.monotonic() - begin) / seconds, words)
        ready, _, _ = select.select([0, *waiting], [], [], 0.5)
        if 0 in ready:
            sys.exit(1)
        for door in ready:
            part = os.read(door, 1 << 16)
            said[door] += part
            if not part:
                waiting.remove(door)
                os.close(door)
    return [_result(said[door]) for door in doors]


def in_a_new_namespace(key: str) -> str:
    """The value of a sysctl in a network namespace that is made now, from within this one."""
    door = _started(sysctl, (key,))
    with os.fdopen(door, "rb") as said:
        return str(_result(said.read()))


def sysctl(key: str) -> str:
    """Its value where we are, in single spaces."""
    return " ".join(Path("/proc/sys", key.replace(".", "/")).read_text().split())


def _result(said: bytes) -> Any:
    answer = json.loads(said or '{"failed": "the measurement died"}')
    if "unavailable" in answer:
        raise LabUnavailable(answer["unavailable"])
    if "failed" in answer:
        raise RuntimeError(answer["failed"])
    return answer["result"]


def _started(measure: Callable[..., Any], arguments: Sequence[Any]) -> int:
    """Where the result of a new process in a new network namespace can be read."""
    reader, writer = os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        os.close(reader)
        _live(parent, writer, measure, arguments)
    os.close(writer)
    return reader


def _live(parent: int, writer: int, measure: Callable[..., Any], arguments: Sequence[Any]) -> NoReturn:
    try:
        namespaces.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        namespaces.enter(user_namespace=False)
        answer = {"result": measure(*arguments)}
    except LabUnavailable as refused:
        answer = {"unavailable": refused.message}
    except BaseException as failed:
        answer = {"failed": f"{type(failed).__name__}: {failed}"}
    with os.fdopen(writer, "wb") as out:
        out.write(json.dumps(answer).encode())
    os._exit(0)
