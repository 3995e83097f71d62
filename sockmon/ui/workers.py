"""Threads of the screen: one reads and assesses the samples of the source, one reads the answers of the helper."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, Protocol

from textual.message import Message

from sockmon.assess import Assessment
from sockmon.errors import SockmonError
from sockmon.log import hint as traceback_hint
from sockmon.model import helper_protocol as model
from sockmon.model.snapshot import Snapshot
from sockmon.sources import Interruption, Source
from sockmon.sources.recording_damage import Damage
from sockmon.text import sanitize
from sockmon.ui.messages import (
    Answered,
    HelperExited,
    HelperReplied,
    Sampled,
    SourceInterrupted,
    SourceLost,
    SourceNoted,
)

log = logging.getLogger(__name__)

NOTE_SECONDS = 0.5
"""Minimum time between two notes about a stream: a hostile one has thousands of damaged lines a second."""

P = ParamSpec("P")


def start_thread(work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call `work` in a daemon thread: unlike a worker of Textual, it does not delay the exit of the screen if it
    waits for a stopped process."""
    threading.Thread(target=work, args=args, kwargs=kwargs, daemon=True, name=work.__name__).start()


class TakesSnapshots(Protocol):
    """An assessor, as the screen uses it."""

    def add(self, snapshot: Snapshot) -> Assessment:
        """Add a Snapshot, and return the Assessment as of it."""


class Helper(Protocol):
    """The helper process, as the screen uses it."""

    def ask(self, request: model.Request) -> bool:
        """Send a request; return False if the helper has exited."""

    def answers(self) -> Iterator[model.Answer]:
        """Yield its answers and states, until it exits."""

    def close(self) -> None:
        """End the process; `answers()` ends too."""


def read_source(source: Source, assessor: TakesSnapshots, post: Callable[[Message], object]) -> None:
    """Read the source to its end; an error becomes one SourceLost, never an exception in the thread."""
    samples, notes = _Samples(assessor, post), _Notes(post)
    try:
        for event in source.lines():
            if isinstance(event, Snapshot):
                samples.add(event)
                notes.left_out = samples.left_out
            elif isinstance(event, Interruption):
                post(SourceInterrupted(event))
            elif isinstance(event, Damage):
                notes.damage = event.text()
            else:
                post(Answered(event))
            notes.post_if_new()
    except SockmonError as error:
        post(SourceLost(error))
    except Exception as error:
        log.exception("the source %s ended", source.title)
        post(SourceLost(SockmonError(f"{type(error).__name__}: {error}", traceback_hint())))
    else:
        post(SourceLost(None))
    notes.post_if_new(now=True)


class _Samples:
    """Assesses samples and posts the newest; drops a sample that cannot be assessed if an earlier one could."""

    def __init__(self, assessor: TakesSnapshots, post: Callable[[Message], object]) -> None:
        self.left_out = ""
        """How many samples could not be assessed, and why; empty if all could."""
        self._assessor = assessor
        self._post = post
        self._posted: Sampled | None = None
        self._failed = 0
        self._reason = ""

    def add(self, snapshot: Snapshot) -> None:
        """Assess one sample; if the first one fails, raise the error."""
        try:
            assessment = self._assessor.add(snapshot)
        except Exception as error:
            if self._posted is None:
                raise
            self._count(error)
            return
        if self._posted is None or not self._posted.replace(assessment):
            self._posted = Sampled(assessment)
            self._post(self._posted)

    def _count(self, error: Exception) -> None:
        if not self._failed:
            log.exception("a sample cannot be assessed")
            self._reason = sanitize(f"{type(error).__name__}: {error}")
        self._failed += 1
        self.left_out = f"{self._failed:,} samples cannot be assessed: {self._reason}"


class _Notes:
    """What was dropped from the stream, posted when it changes, at most twice a second."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        self.damage = ""
        self.left_out = ""
        self._post = post
        self._posted = ""
        self._at = -NOTE_SECONDS

    def post_if_new(self, now: bool = False) -> None:
        """Post the note if it is new; `now`: also right after the last one."""
        text = "; ".join(filter(None, (self.damage, self.left_out)))
        if text != self._posted and (now or time.monotonic() >= self._at + NOTE_SECONDS):
            self._posted, self._at = text, time.monotonic()
            self._post(SourceNoted(text))


def read_helper(helper: Helper, post: Callable[[Message], object]) -> None:
    """Post the answers of the helper, and at its end one HelperExited."""
    reason = ""
    try:
        for answer in helper.answers():
            post(HelperReplied(answer))
    except SockmonError as error:
        reason = error.message
    except Exception as error:
        log.exception("the answers of the helper ended")
        reason = "; ".join(filter(None, (f"{type(error).__name__}: {error}", traceback_hint())))
    post(HelperExited(reason))
