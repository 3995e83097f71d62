"""What is asked of a desk that does not answer, because it is slow or stopped."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.model.desk import Answer, Look, Looked, Recall, Request
from sockmon.ui.tuning import Tuning


class Stopped:
    """A desk that takes requests and says nothing."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def ask(self, request: Request) -> bool:
        self.asked.append(request)
        return True

    def answers(self) -> Iterator[Answer]:
        yield from ()

    def close(self) -> None:
        """Nothing is there to end."""


def test_the_same_look_is_asked_for_once_until_it_is_answered() -> None:
    """Or its pipe is full after some minutes, and the screen hangs in a write to it."""
    desk, look = Stopped(), Look(("net.core.somaxconn",))
    tuning = Tuning(desk)
    assert all(tuning.ask(look) for _ in range(1000))
    assert tuning.ask(Recall())
    assert desk.asked == [look, Recall()]
    tuning.hear(Looked({}, {}, {}, {}, 1, "b00t", None, ""))
    assert tuning.ask(look)
    assert desk.asked == [look, Recall(), look]
