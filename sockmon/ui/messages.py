"""What the feed tells the app; in the past tense."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from sockmon.assess import Assessment
from sockmon.errors import SockmonError
from sockmon.model.desk import Answer
from sockmon.model.detail import Detail


@dataclass
class Sampled(Message):
    """There is a newer Assessment."""

    assessment: Assessment

    def can_replace(self, message: Message) -> bool:
        """Latest wins: an app that is behind draws only the newest."""
        return isinstance(message, Sampled)


@dataclass
class Answered(Message):
    """The source answered a focus."""

    detail: Detail


@dataclass
class SourceLost(Message):
    """The stream ended; `error` says why, None where a recording came to its end."""

    error: SockmonError | None


@dataclass
class Heard(Message):
    """The desk said something."""

    answer: Answer


@dataclass
class DeskEnded(Message):
    """The desk is gone; `why` says more where something is known."""

    why: str
