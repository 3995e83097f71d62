"""Servers and clients that work well: they answer, keep their connections, and now and then take a new one."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from sockmon.labs.loads.pairs import connect

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
LOOK = 0.02
"""Seconds between two looks of a server at its listener: meanwhile new connections wait in the queue."""
_ROUND = 0.1
_CROWD = 100


def may_open(descriptors: int) -> None:
    """Set the soft RLIMIT_NOFILE of this process."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def echo(listener: socket.socket, descriptors: int) -> Iterator[float]:
    """Give back whatever comes, on any number of connections."""
    may_open(descriptors)
    yield 0.0
    yield from answer(listener, lambda request: request)


def answer(listener: socket.socket, reply: Callable[[bytes], bytes]) -> Iterator[float]:
    """Answer each request with its `reply`."""
    listener.setblocking(False)
    open_now = selectors.DefaultSelector()
    while True:
        until = time.monotonic() + LOOK
        with suppress(BlockingIOError):
            while True:
                client = listener.accept()[0]
                open_now.register(client, selectors.EVENT_READ, client)
        while (left := until - time.monotonic()) > 0:
            if not open_now.get_map():
                time.sleep(left)
                break
            for key, _ in open_now.select(left):
                client = key.data
                if request := client.recv(4096):
                    client.send(reply(request))
                else:
                    open_now.unregister(client)
                    client.close()
        yield 0.0


class Pool:
    """Connections to one server that are used in turn and kept; the oldest gives way to a fresh one."""

    def __init__(self, port: int, total: int) -> None:
        self._port = port
        self._held: deque[socket.socket] = deque()
        while missing := total - len(self._held):
            self._open(min(_CROWD, missing))

    def ask(self, request: bytes) -> bytes:
        """The answer, over the connection that has rested longest."""
        one = self._held[0]
        self._held.rotate(-1)
        one.send(request)
        return one.recv(4096)

    def refresh(self, number: int = 1) -> None:
        """Close `number` connections, then open as many at once."""
        for _ in range(number):
            self._held.popleft().close()
        self._open(number)

    def _open(self, number: int) -> None:
        """The last of them is served before more may come, so that no queue overflows."""
        self._held.extend(connect("127.0.0.1", self._port) for _ in range(number))
        self._held.rotate(1)
        self.ask(REQUEST)


def ask_all_day(port: int, total: int, requests: int, fresh: int) -> Iterator[float]:
    """`total` clients that keep their connections, with so many requests and fresh connections a second."""
    pool = Pool(port, total)
    yield 0.0
    while True:
        for _ in range(round(1 / _ROUND)):
            for _ in range(round(requests * _ROUND)):
                pool.ask(REQUEST)
            yield _ROUND
        pool.refresh(fresh)
