"""Messages of the reader threads to the app, named in the past tense."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from textual.message import Message

from sockmon.assess import Assessment
from sockmon.errors import SockmonError
from sockmon.model.detail import Detail
from sockmon.model.helper_protocol import Answer
from sockmon.sources import Interruption


@dataclass
class Sampled(Message):
    """A sample was assessed."""

    assessment: Assessment
    taken: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lock = Lock()

    def replace(self, assessment: Assessment) -> bool:
        """Carry a newer Assessment instead; return False if the old one has been taken already.

        A screen whose terminal is not read takes nothing for hours; only the newest sample may wait for it."""
        with self._lock:
            if not self.taken:
                self.assessment = assessment
            return not self.taken

    def take(self) -> Assessment:
        """Return the Assessment; a newer one needs a new message."""
        with self._lock:
            self.taken = True
            return self.assessment

    def can_replace(self, message: Message) -> bool:
        """Return True for an older sample: an app that is behind draws only the newest."""
        return isinstance(message, Sampled)


@dataclass
class Answered(Message):
    """The source answered a query."""

    detail: Detail


@dataclass
class SourceLost(Message):
    """The stream ended, with an error or, for a recording, without."""

    error: SockmonError | None


@dataclass
class SourceInterrupted(Message):
    """The agent exited; the source starts it again."""

    interruption: Interruption


@dataclass
class SourceNoted(Message):
    """Part of the stream was dropped; `text` is what and why."""

    text: str

    def can_replace(self, message: Message) -> bool:
        """Return True for an older note: a new one counts everything until now."""
        return isinstance(message, SourceNoted)


@dataclass
class HelperReplied(Message):
    """The helper sent an answer or its status."""

    answer: Answer


@dataclass
class HelperExited(Message):
    """The helper exited; `reason` is empty if it is not known."""

    reason: str
