"""`python -m tests.work.screen_work`: the work of the screen for each sample of fixed streams, as JSON."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import Iterator
from itertools import chain
from typing import Any

from tests.work.calls import PYTHON_CALLS, CallCounter, of_function, of_package
from tests.work.clock import VirtualClock, virtual_loop

WARM_UP, COUNTED = 4, 8
"""Samples of a stream until everything is drawn, and those for which work is counted."""
PROCESSES = 150
STREAMS = {"quiet": 0.0, "5 % change": 0.05}
"""Name → part of the processes that open or close descriptors between two samples."""
SIZE = (120, 40)


class Feed:
    """A source that yields an event when it is told to."""

    title = "live"
    live, remote = True, False

    def __init__(self) -> None:
        self.events: queue.Queue[Any] = queue.Queue()

    def lines(self) -> Iterator[Any]:
        """Yield what is fed, until None."""
        return iter(self.events.get, None)

    def ask(self, request: object) -> bool:
        """Answer nothing."""
        return True

    def retry(self) -> None:
        """It does not end."""

    def close(self) -> None:
        """End `lines`."""
        self.events.put(None)


def main() -> None:
    """Print the work for each stream."""
    clock = VirtualClock()
    clock.install()
    # Now that they find these clocks.
    from tests.work.streams import lines, samples

    found = {}
    for name, changing in STREAMS.items():
        stream = lines(samples(WARM_UP + COUNTED, PROCESSES, changing))
        found[name] = virtual_loop(clock).run_until_complete(_draw(stream, clock)) | _decode(stream)
    print(json.dumps(found))  # noqa: T201


def _decode(stream: list[bytes]) -> dict[str, float]:
    """Return what reading one line of the stream costs."""
    seen: set[int] = set()
    kept, counts = [], []
    for event in _events(stream):
        kept.append(event)  # or its address would be used again
        before = len(seen)
        _note_objects(event, seen)
        counts.append(len(seen) - before)
    return {
        "objects decoded": sum(counts[-COUNTED:]) / COUNTED,
        "bytes of the stream": sum(map(len, stream[-COUNTED:])) / COUNTED,
    }


def _note_objects(value: Any, seen: set[int]) -> None:
    """Note each Struct that `value` consists of; what is shared with an earlier line is noted already."""
    if hasattr(value, "__struct_fields__"):
        if id(value) in seen:
            return
        seen.add(id(value))
        parts: Any = (getattr(value, name) for name in value.__struct_fields__)
    elif isinstance(value, dict):
        parts = chain(value.keys(), value.values())
    else:
        parts = value if isinstance(value, (tuple, list)) else ()
    for part in parts:
        _note_objects(part, seen)


def _events(stream: list[bytes]) -> Iterator[Any]:
    from sockmon.sources.wire import Hello, read_stream

    rest = iter(stream)
    return (event for event in read_stream(lambda size: next(rest, b""), "stream") if not isinstance(event, Hello))


async def _draw(stream: list[bytes], clock: VirtualClock) -> dict[str, float]:
    """Return the work for one sample, on the main screen."""
    from sockmon.settings import Settings
    from sockmon.ui.app import SockmonApp

    feed = Feed()
    app = SockmonApp(feed, Settings(theme="sockmon"))
    sent = [0]

    def count(screen: Any, renderable: Any) -> None:
        """Paint, although there is no terminal, and count what it would have been sent."""
        if renderable is not None and not app._batch_count:
            sent[0] += len(app._painter.paint(renderable, app.console, app.size).encode())

    app._display = count  # type: ignore[method-assign]

    async def show(event: Any) -> None:
        """Let the app take one sample, and then have a second for it."""
        clock.stopped = True
        feed.events.put(event)
        while app.failure is None and (app.newest is None or app.newest.snapshot.at != event.at):
            await asyncio.sleep(0)
        clock.stopped = False
        await asyncio.sleep(1.0)

    events = list(_events(stream))
    # What counts must see the thread that assesses: it starts with the app.
    with CallCounter() as calls:
        async with app.run_test(size=SIZE):
            for event in events[:WARM_UP]:
                await show(event)
            sleeps, sent[0], before = clock.sleeps, 0, calls.counts.copy()
            for event in events[WARM_UP:]:
                await show(event)
            sleeps, called = clock.sleeps - sleeps, calls.counts - before
        feed.close()
    found = {
        "wake-ups": sleeps,
        "bytes to the terminal": sent[0],
        "rows formatted": of_function(called, "widgets/column.py", "row_strip"),
        PYTHON_CALLS: sum(of_package(called, package) for package in ("sockmon", "textual", "rich")),
    }
    return {name: total / COUNTED for name, total in found.items()}


if __name__ == "__main__":
    main()
