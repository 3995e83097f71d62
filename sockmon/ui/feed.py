"""The threads beside the screen's: one reads the source, assesses and posts what it found, one hears the desk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from textual.message import Message

from sockmon.assess import Assessor
from sockmon.errors import SockmonError
from sockmon.model import desk as model
from sockmon.model.snapshot import Snapshot
from sockmon.sources import Source
from sockmon.ui.messages import Answered, DeskEnded, Heard, Sampled, SourceLost


class Desk(Protocol):
    """The process that kept its privilege, as the screen sees it."""

    def ask(self, request: model.Request) -> bool:
        """Send a request; False where the desk has ended."""

    def answers(self) -> Iterator[model.Answer]:
        """What it says, until it ends."""

    def close(self) -> None:
        """End it; `answers()` ends too."""


def run(source: Source, assessor: Assessor, post: Callable[[Message], object]) -> None:
    """Read to the end; whatever goes wrong becomes one SourceLost, never an exception in the thread."""
    try:
        for line in source.lines():
            if isinstance(line, Snapshot):
                post(Sampled(assessor.add(line)))
            else:
                post(Answered(line))
    except SockmonError as error:
        post(SourceLost(error))
    except Exception as error:
        post(SourceLost(SockmonError(f"{type(error).__name__}: {error}")))
    else:
        post(SourceLost(None))


def hear(desk: Desk, post: Callable[[Message], object]) -> None:
    """Hear the desk to its end, which is said once."""
    why = ""
    try:
        for answer in desk.answers():
            post(Heard(answer))
    except SockmonError as error:
        why = error.message
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    post(DeskEnded(why))
