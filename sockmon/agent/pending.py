"""Requests that are not answered yet: the oldest first, in small slices of work."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

from msgspec.structs import replace

from sockmon.agent.details import answer_query
from sockmon.agent.sampler import Sampler
from sockmon.model.detail import Detail, DetailQuery, PolledDetail
from sockmon.model.socket_list import SocketListQuery

Answering = Generator["Detail | None", None, Detail]
"""Work in small steps: yields None after each, or an answer that is not complete; returns the complete one."""


class Pending:
    """The queue of requests. A list of sockets that is asked for again is stopped: only the newest is wanted."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._queue: list[tuple[DetailQuery, Answering]] = []
        self._spent = 0.0
        """Seconds of a processor that the oldest request has taken so far."""

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, query: DetailQuery) -> None:
        """Append a request, unless the same one waits: a page asks every two seconds, also if an answer takes
        longer."""
        if isinstance(query, SocketListQuery):
            self.stop_socket_list()
        elif any(query == waiting for waiting, _ in self._queue):
            return
        self._queue.append((query, answer_query(self._sampler, query)))

    def stop_socket_list(self) -> None:
        """Drop the request for a list of sockets, also while its dump runs."""
        if self._queue and isinstance(self._queue[0][0], SocketListQuery):
            self._spent = 0.0
        stopped = [work for query, work in self._queue if isinstance(query, SocketListQuery)]
        self._queue = [entry for entry in self._queue if entry[1] not in stopped]
        for work in stopped:
            work.close()

    def work(self, seconds: float) -> Iterator[Detail]:
        """Work on the oldest request for so long; yield what there is to answer."""
        begin, end = time.process_time(), time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                if (partial := next(self._queue[0][1])) is not None:
                    yield partial
        except StopIteration as found:
            del self._queue[0]
            spent, self._spent = self._spent + time.process_time() - begin, 0.0
            yield replace(found.value, seconds=spent) if isinstance(found.value, PolledDetail) else found.value
        else:
            self._spent += time.process_time() - begin
