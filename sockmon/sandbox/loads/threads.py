"""A server that starts a thread for each connection, and its clients; at the limit it closes the connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

from sockmon.sandbox.sockets import LOOPBACK, connect
from sockmon.sandbox.workers import FOREVER

STACK_BYTES = 65536
"""Stack of a thread; small, because there are many."""
_GREETING = b"!"


def serve_with_threads(listener: socket.socket) -> Iterator[float]:
    """Greet each client from its own thread, which lives as long as the connection."""
    threading.stack_size(STACK_BYTES)
    yield 0.0
    while True:
        start_thread_for(listener.accept()[0])


def start_thread_for(client: socket.socket) -> None:
    """Start a thread for `client`; if the kernel refuses, close the connection."""
    try:
        threading.Thread(target=_greet_and_wait, args=(client,), daemon=True).start()
    except RuntimeError:
        client.close()


def _greet_and_wait(client: socket.socket) -> None:
    with client:
        client.send(_GREETING)
        client.recv(1)


def connect_until_refused(port: int, then_close: int = 0) -> Iterator[float]:
    """Connect until the server cannot start a thread, then try once a second.

    With `then_close` close so many connections after the refusal, and make no more."""
    held = []
    while is_greeted(client := connect(LOOPBACK, port)):
        held.append(client)
    for client in held[len(held) - then_close :]:
        client.close()
    if then_close:
        yield FOREVER
    while True:
        client.close()
        yield 1.0
        if is_greeted(client := connect(LOOPBACK, port)):
            held.append(client)
            client = connect(LOOPBACK, port)


def steady_clients(port: int, total: int) -> Iterator[float]:
    """Be `total` clients that stay."""
    held = [connect(LOOPBACK, port) for _ in range(total)]
    if not all(map(is_greeted, held)):
        raise RuntimeError("the server could not start its threads")
    yield FOREVER


def is_greeted(client: socket.socket) -> bool:
    """Return True once a thread has greeted this client, False if the server closed the connection."""
    try:
        return client.recv(1) == _GREETING
    except ConnectionResetError:
        return False
