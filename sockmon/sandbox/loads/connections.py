"""Servers and their clients, with connections that stay open."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sockmon.sandbox.sockets import connect, listen
from sockmon.sandbox.workers import FOREVER, WorkerGroup

MAX_SOCKETS_PER_PROCESS = 15_000
"""The hard limit of descriptors may be lower."""


def read_port_range() -> tuple[int, int]:
    """Return net.ipv4.ip_local_port_range of this namespace, both ends included."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)


def split_by_process(total: int) -> Iterator[int]:
    """Yield `total` in parts, each of which one process can hold."""
    largest = min(MAX_SOCKETS_PER_PROCESS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
    while total > 0:
        yield min(largest, total)
        total -= largest


def hold_open(*sockets: socket.socket) -> Iterator[float]:
    """Hold sockets, and never read from them or accept on them."""
    yield FOREVER
    del sockets


def accept_and_hold(listener: socket.socket, total: int) -> Iterator[float]:
    """Accept `total` connections and hold them."""
    held = [listener.accept()[0] for _ in range(total)]
    yield FOREVER
    del held


def start_servers(workers: WorkerGroup, name: str, port: int, total: int, family: int = socket.AF_INET) -> None:
    """Start processes that share one listener, like prefork servers, and accept `total` connections together."""
    with listen(port, family=family) as listener:
        for part in split_by_process(total):
            workers.start(name, partial(accept_and_hold, listener, part))


def connect_and_hold(address: str, port: int, total: int, sources: Iterator[str] | None = None) -> Iterator[float]:
    """Connect `total` times and hold the connections; `sources` gives the source address of each."""
    held = [connect(address, port, next(sources) if sources else "") for _ in range(total)]
    yield FOREVER
    del held
