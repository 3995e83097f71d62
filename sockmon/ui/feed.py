"""The one thread beside the screen's: reads the source, assesses, and posts what it found."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message

from sockmon.assess import Assessor
from sockmon.errors import SockmonError
from sockmon.model.snapshot import Snapshot
from sockmon.sources import Source
from sockmon.ui.messages import Answered, Sampled, SourceLost


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
