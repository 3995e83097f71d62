"""The thread that reads the source of a fleet; it goes on while the screen of a host is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message

from sockmon.fleet.feed import Feed, FleetState
from sockmon.ui import workers


@dataclass
class FleetRead(Message):
    """The source has a new state, which the reader keeps."""

    def can_replace(self, message: Message) -> bool:
        """Return True for an older one: only the newest state is drawn."""
        return isinstance(message, FleetRead)


class FleetReader:
    """Keeps the newest state, and posts that there is one to the app that listens."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.state = FleetState()
        self._post: Callable[[Message], object] | None = None
        self._started = False

    def listen(self, post: Callable[[Message], object]) -> None:
        """Post to this app from now on, and start the thread if it does not run."""
        self._post = post
        if not self._started:
            self._started = True
            workers.start_thread(self.feed.run, self._take)

    def _take(self, state: FleetState) -> None:
        self.state = state
        if self._post is not None:
            self._post(FleetRead())

    def leave(self) -> None:
        """Post to no app."""
        self._post = None
