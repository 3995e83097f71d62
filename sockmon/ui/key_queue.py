"""Keys that come in one burst: the next one waits until the last one has done what it does.

Textual gives a key to the widget that has the focus at that moment. The key before it may still be on its way
through the queues of that widget and its parents, and move the focus only then: of `/ h` the letter would go to
the table. Here a mark follows each key on the same way; when it is back, and none of these queues holds anything
more, the next key is given out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from textual import events
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump

MAX_ROUNDS = 8
"""Marks after one key: what it sets off may send messages too, but a busy screen must not hold keys."""
MAX_SECONDS = 1.0
"""Seconds after which the next key is given out without the mark: a widget that is removed loses it."""


class KeyPassed(Message):
    """Has followed a key from the widget that took it up to the app."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class KeyQueue:
    """Gives out one key after the other."""

    def __init__(self, app: App[None], give_out: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._give_out = give_out
        self._waiting: deque[events.Event] = deque()
        self._number = 0
        """Of the key that was given out last."""
        self._rounds = 0
        self._give_up: asyncio.TimerHandle | None = None
        """Not None while a key is on its way."""

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self, event: events.Event) -> None:
        """Give out a key or a paste, now or when those before it have passed."""
        self._waiting.append(event)
        if self._give_up is None:
            await self._next()

    async def _next(self) -> None:
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None
        if not self._waiting:
            return
        self._number += 1
        self._rounds = 0
        loop = asyncio.get_running_loop()
        self._give_up = loop.call_later(MAX_SECONDS, self._app.call_later, self._lost, self._number)
        await self._give_out(self._waiting.popleft())
        self._send_mark()

    def _send_mark(self) -> None:
        self._rounds += 1
        first = self._path()[0]
        if not first.post_message(KeyPassed(self._number)):
            self._app.call_later(self._lost, self._number)

    async def passed(self, mark: KeyPassed) -> None:
        """Take a mark that has come back."""
        if mark.number != self._number or self._give_up is None:
            return
        if self._rounds < MAX_ROUNDS and any(map(_has_messages, self._path())):
            self._send_mark()
        else:
            await self._next()

    async def _lost(self, number: int) -> None:
        if number == self._number and self._give_up is not None:
            await self._next()

    def _path(self) -> list[MessagePump]:
        """Return the widget with the focus, its parents and the app."""
        if not self._app.screen_stack:
            return [self._app]
        first = self._app.focused or self._app.screen
        return [*first.ancestors_with_self]


def _has_messages(pump: MessagePump) -> bool:
    # A pump looks at its next message while it handles one: that is in no queue then.
    return bool(pump.message_queue_size) or pump._pending_message is not None
