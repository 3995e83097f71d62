"""A server that starts a thread for each connection, and its clients: at the wall they are hung up on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

from sockmon.labs.crew import FOREVER
from sockmon.labs.loads.pairs import connect

STACK = 65536
"""Bytes of a thread's stack: small, because there are many."""
_SERVED = b"!"


def serve_by_threads(listener: socket.socket) -> Iterator[float]:
    """Greet each client from a thread of its own, which lives as long as the connection."""
    threading.stack_size(STACK)
    yield 0.0
    while True:
        start_serving(listener.accept()[0])


def start_serving(client: socket.socket) -> None:
    """A thread for `client`; where the kernel refuses one, close."""
    try:
        threading.Thread(target=_serve, args=(client,), daemon=True).start()
    except RuntimeError:
        client.close()


def _serve(client: socket.socket) -> None:
    with client:
        client.send(_SERVED)
        client.recv(1)


def until_refused(port: int, give_back: int = 0) -> Iterator[float]:
    """Connect until the server can start no more threads, and then once more each second; with `give_back` let so
    many go again and be content."""
    held = []
    while is_served(client := connect("127.0.0.1", port)):
        held.append(client)
    for client in held[len(held) - give_back :]:
        client.close()
    if give_back:
        yield FOREVER
    while True:
        client.close()
        yield 1.0
        if is_served(client := connect("127.0.0.1", port)):
            held.append(client)
            client = connect("127.0.0.1", port)


def some(port: int, total: int) -> Iterator[float]:
    """`total` clients that stay."""
    held = [connect("127.0.0.1", port) for _ in range(total)]
    if not all(map(is_served, held)):
        raise RuntimeError("the server could not start its threads")
    yield FOREVER


def is_served(client: socket.socket) -> bool:
    """True once a thread has greeted this client, False when it was hung up on."""
    try:
        return client.recv(1) == _SERVED
    except ConnectionResetError:
        return False
