"""A helper and the screen's end of it, without a screen."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sockmon.model.helper_protocol import (
    Answer,
    Apply,
    ChangeResult,
    HelperStatus,
    Request,
    ResolveHold,
)
from sockmon.model.transaction import State
from sockmon.tuning.helper.client import HelperClient, open_helper

TIMEOUT = 60.0
A = TypeVar("A", bound=Answer)


class HelperSession:
    """Sends requests to a helper, and reads its answers."""

    def __init__(self, helper: HelperClient) -> None:
        self.helper = helper
        self._answers: queue.Queue[Answer | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.statuses: list[HelperStatus] = []

    def _read(self) -> None:
        for answer in self.helper.answers():
            self._answers.put(answer)
        self._answers.put(None)

    def ask(self, request: Request, kind: type[A]) -> A:
        """Return the answer to a request; fail if it is of another kind."""
        assert self.helper.ask(request)
        answer = next(one for one in iter(self._next, None) if not isinstance(one, HelperStatus))
        assert isinstance(answer, kind), answer
        return answer

    def state_after(self, request: Apply | ResolveHold) -> State:
        """Return the state of the change after a request."""
        return self.ask(request, ChangeResult).transaction.state

    def wait_for_status(self, condition: Callable[[HelperStatus], bool]) -> HelperStatus:
        """Return the next status that meets the condition."""
        return next(one for one in iter(self._next, None) if isinstance(one, HelperStatus) and condition(one))

    def read_to_end(self) -> None:
        """Read until the helper has ended."""
        for _ in iter(self._next, None):
            pass

    def _next(self) -> Answer | None:
        answer = self._answers.get(timeout=TIMEOUT)
        if isinstance(answer, HelperStatus):
            self.statuses.append(answer)
        return answer


@contextmanager
def helper_session(root: str, netns: str | None = None) -> Iterator[HelperSession]:
    """Start a helper, which ends with the block."""
    helper = open_helper(netns, root)
    helper.start()
    try:
        yield HelperSession(helper)
    finally:
        helper.close()


def sleep_forever() -> None:
    """Run until killed."""
    while True:
        time.sleep(3600)
