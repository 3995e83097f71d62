"""Healthy servers and clients: they answer, keep their connections, and now and then replace one."""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from sockmon.sandbox.loads.files import set_nofile
from sockmon.sandbox.sockets import LOOPBACK, connect

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
ACCEPT_INTERVAL = 0.02
"""Seconds after which a server calls accept() again; meanwhile new connections wait in the queue."""
_ROUND_SECONDS = 0.1
_OPEN_BATCH = 100


def serve_echo(listener: socket.socket, descriptors: int) -> Iterator[float]:
    """Send back every request, on any number of connections."""
    set_nofile(descriptors)
    yield 0.0
    yield from serve_requests(listener, lambda request: request)


def serve_requests(listener: socket.socket, reply: Callable[[bytes], bytes]) -> Iterator[float]:
    """Answer each request with its `reply`."""
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    while True:
        deadline = time.monotonic() + ACCEPT_INTERVAL
        with suppress(BlockingIOError):
            while True:
                client = listener.accept()[0]
                selector.register(client, selectors.EVENT_READ, client)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.get_map():
                time.sleep(left)
                break
            for key, _ in selector.select(left):
                client = key.data
                if request := client.recv(4096):
                    client.send(reply(request))
                else:
                    selector.unregister(client)
                    client.close()
        yield 0.0


class ConnectionPool:
    """Connections to one server that are kept and used in turn; the oldest is replaced."""

    def __init__(self, port: int, total: int) -> None:
        self._port = port
        self._connections: deque[socket.socket] = deque()
        while missing := total - len(self._connections):
            self._open(min(_OPEN_BATCH, missing))

    def request(self, request: bytes) -> bytes:
        """Return the reply, over the connection that was idle longest."""
        connection = self._connections[0]
        self._connections.rotate(-1)
        connection.send(request)
        return connection.recv(4096)

    def replace_oldest(self, number: int = 1) -> None:
        """Close `number` connections, then open as many at once."""
        for _ in range(number):
            self._connections.popleft().close()
        self._open(number)

    def _open(self, number: int) -> None:
        """Open connections, and wait until the last of them is served, so that no queue overflows."""
        self._connections.extend(connect(LOOPBACK, self._port) for _ in range(number))
        self._connections.rotate(1)
        self.request(REQUEST)


def keep_requesting(port: int, total: int, requests: int, new_connections: int) -> Iterator[float]:
    """Be `total` clients that keep their connections, with so many requests and new connections per second."""
    pool = ConnectionPool(port, total)
    yield 0.0
    while True:
        for _ in range(round(1 / _ROUND_SECONDS)):
            for _ in range(round(requests * _ROUND_SECONDS)):
                pool.request(REQUEST)
            yield _ROUND_SECONDS
        pool.replace_oldest(new_connections)
