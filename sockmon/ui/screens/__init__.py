"""What fills the terminal: the main screen, and what opens from it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sockmon.assess import Assessment
from sockmon.model.desk import Answer
from sockmon.model.detail import Detail


@runtime_checkable
class Shows(Protocol):
    """A screen that follows the stream; those that do not (help, the palette) simply lack these."""

    def show(self, assessment: Assessment) -> None:
        """Draw an Assessment: called with each sample while on top, and once when it gets there."""

    def answer(self, detail: Detail) -> None:
        """Take a Detail that may be the answer to what this screen asked."""


@runtime_checkable
class Hears(Protocol):
    """A screen that listens to the desk while it is on top."""

    def hear(self, answer: Answer) -> None:
        """Take what the desk says: an answer to this screen's request, or how things stand."""
