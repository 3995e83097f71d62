"""The screen's side of a desk, without a screen."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sockmon.model.change import State
from sockmon.model.desk import Answer, Apply, Decide, Look, Recall, Standing, Told
from sockmon.tuning.desk import Desk, open_desk

PATIENCE = 60.0
A = TypeVar("A", bound=Answer)


class Screen:
    """The screen's side: asks, and reads what comes."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._answers: queue.Queue[Answer | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.standings: list[Standing] = []

    def _read(self) -> None:
        for answer in self.desk.answers():
            self._answers.put(answer)
        self._answers.put(None)

    def ask(self, request: Look | Apply | Decide | Recall, kind: type[A]) -> A:
        """The answer to a request, which is of this kind."""
        assert self.desk.ask(request)
        answer = next(one for one in iter(self._next, None) if not isinstance(one, Standing))
        assert isinstance(answer, kind), answer
        return answer

    def told(self, request: Apply | Decide) -> State:
        """The state that a change is in after a request."""
        return self.ask(request, Told).transaction.state

    def stands(self, holds: Callable[[Standing], bool]) -> Standing:
        """The next word about how things stand of which that is true."""
        return next(one for one in iter(self._next, None) if isinstance(one, Standing) and holds(one))

    def until_it_ends(self) -> None:
        """Read on until the desk has nothing to say any more."""
        for _ in iter(self._next, None):
            pass

    def _next(self) -> Answer | None:
        answer = self._answers.get(timeout=PATIENCE)
        if isinstance(answer, Standing):
            self.standings.append(answer)
        return answer


@contextmanager
def a_screen(root: str, netns: str | None = None) -> Iterator[Screen]:
    """A screen with its desk, which ends with it."""
    desk = open_desk(netns, root)
    try:
        yield Screen(desk)
    finally:
        desk.close()


def wait_for_ever() -> None:
    """What a process does that only has to be there."""
    while True:
        time.sleep(3600)
