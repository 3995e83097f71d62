"""Another process beside the one that measures: it does what it is asked for, and dies with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from sockmon.errors import LabUnavailable
from sockmon.labs import namespaces

_LONGEST = 4096
Answer = Callable[[Any], Any]
"""From a question to its answer, both plain JSON."""


class Other:
    """A child that answers one question after the other, with `answer`; what it opens stays open."""

    def __init__(self, answer: Answer) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _live(parent, theirs, answer)
        theirs.close()
        self._ours = ours

    def ask(self, question: Any = None) -> Any:
        """Its answer; LabUnavailable or RuntimeError with the reason where it failed."""
        self._ours.send(json.dumps(question).encode())
        answer = json.loads(self._ours.recv(_LONGEST) or '{"failed": "the other process died"}')
        if "unavailable" in answer:
            raise LabUnavailable(answer["unavailable"])
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer["result"]

    def end(self) -> None:
        """Kill it, and wait until it has gone."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._ours.close()


def _live(parent: int, door: socket.socket, answer: Answer) -> NoReturn:
    try:
        namespaces.die_with_parent(signal.SIGKILL)
        while os.getppid() == parent and (question := door.recv(_LONGEST)):
            door.send(json.dumps({"result": answer(json.loads(question))}).encode())
    except LabUnavailable as refused:
        door.send(json.dumps({"unavailable": refused.message}).encode())
    except BaseException as failed:
        door.send(json.dumps({"failed": f"{type(failed).__name__}: {failed}"}).encode())
    finally:
        os._exit(1)


def sleeper() -> int:
    """The pid of a new child that does nothing; OSError where there can be no more."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        namespaces.die_with_parent(signal.SIGKILL)
        # One whose parent died before that would stay for ever.
        while os.getppid() == parent:
            time.sleep(1000)
        os._exit(0)
    return pid
