"""Where the fleet screen has its hosts from: a thread that reads again and again, one request at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from sockmon.errors import SockmonError
from sockmon.fleet.hosts import Fleet, HostLimit
from sockmon.fleet.trends import TREND_SECONDS
from sockmon.log import hint as traceback_hint
from sockmon.text import sanitize

log = logging.getLogger(__name__)

READ_SECONDS = 15.0
"""Seconds between two answers of a Prometheus, which scrapes no more often as a rule."""
PAUSES = 4
"""The pause after an answer, in times of what it took: a server that needs long has four fifths of the time for
others."""
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 5.0, 60.0
"""Seconds until a server that did not answer is asked again; the pause doubles."""


class FleetState(NamedTuple):
    """What is known of a fleet, and of its source."""

    fleet: Fleet | None = None
    """The last answer; None before the first one."""
    at: float = 0.0
    """When it came (CLOCK_MONOTONIC)."""
    error: str = ""
    """Why the last request failed; empty if it did not."""
    hint: str = ""
    next_at: float = 0.0
    """When the next request begins; 0 without one."""
    asked_at: float = 0.0
    """When the request began that is under way; 0 without one."""


class Feed(Protocol):
    """A source of a fleet."""

    title: str
    """What is asked: the URL of the server, or `ssh`; clean text."""
    trend_title: str
    """The span of the trends, such as `1 h`."""
    trend_seconds: float
    """The same as a number."""

    def run(self, post: Callable[[FleetState], object]) -> None:
        """Call `post` with each change of the state, until `close`; raises nothing."""

    def refresh(self) -> None:
        """Read now."""

    def limits(self, name: str) -> Sequence[HostLimit]:
        """Return every limit of a host, the most urgent first; may ask the source. Raise SockmonError."""

    def close(self) -> None:
        """End `run` soon; safe to call twice, and from another thread."""


class PollingFeed:
    """Reads a fleet each READ_SECONDS; if that takes long, or after a failure, less often."""

    trend_title, trend_seconds = "1 h", TREND_SECONDS

    def __init__(
        self, title: str, read: Callable[[], Fleet], read_limits: Callable[[str], Sequence[HostLimit]]
    ) -> None:
        self.title = title
        self._read = read
        self._read_limits = read_limits
        self._wake = threading.Event()
        self._closed = False

    def run(self, post: Callable[[FleetState], object]) -> None:
        """See Feed."""
        state, pause = FleetState(), MIN_RETRY_SECONDS
        while not self._closed:
            # A key that was pressed during the last request was about the data before it.
            self._wake.clear()
            begin = time.monotonic()
            post(state := state._replace(asked_at=begin, next_at=0.0))
            state = self._asked(state)
            took = time.monotonic() - begin
            wait = pause if state.error else max(READ_SECONDS, PAUSES * took)
            pause = min(2 * pause, MAX_RETRY_SECONDS) if state.error else MIN_RETRY_SECONDS
            state = state._replace(asked_at=0.0, next_at=time.monotonic() + wait)
            if not self._closed:
                post(state)
                self._wake.wait(wait)

    def _asked(self, state: FleetState) -> FleetState:
        try:
            return FleetState(self._read(), time.monotonic())
        except SockmonError as error:
            return state._replace(error=error.message, hint=error.hint)
        except Exception as error:
            log.exception("%s could not be read", self.title)
            text = f"{type(error).__name__}: {sanitize(str(error), 200)}"
            return state._replace(error=text, hint=traceback_hint())

    def refresh(self) -> None:
        """See Feed."""
        self._wake.set()

    def limits(self, name: str) -> Sequence[HostLimit]:
        """See Feed."""
        return self._read_limits(name)

    def close(self) -> None:
        """See Feed."""
        self._closed = True
        self._wake.set()
