"""Servers and their clients, with connections that stay open."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, islice
from pathlib import Path

from sockmon.sandbox.loads.port_numbers import IPV4_MAPPED, IPV6, WEB
from sockmon.sandbox.sockets import LOOPBACK, connect, listen
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


def start_established(workers: WorkerGroup, total: int) -> None:
    """Start one healthy server with `total` clients."""
    start_servers(workers, "web-server", WEB, total)
    low, high = read_port_range()
    per_address = min(250, max(1, (high - low) // 4))
    addresses = (f"127.1.{number >> 8 & 255}.{number & 255}" for number in count(1))
    sources = chain.from_iterable([address] * per_address for address in addresses)
    for part in split_by_process(total):
        part_sources = iter(list(islice(sources, part)))
        workers.start("clients", partial(connect_and_hold, LOOPBACK, WEB, part, part_sources))


def start_ipv6_pairs(workers: WorkerGroup, total: int, mapped: bool) -> None:
    """Start pairs of AF_INET6 sockets, over IPv6 or, with `mapped`, over IPv4."""
    port, address = (IPV4_MAPPED, "::ffff:127.0.0.1") if mapped else (IPV6, "::1")
    start_servers(workers, "server-mapped" if mapped else "server-v6", port, total, socket.AF_INET6)
    for part in split_by_process(total):
        workers.start("client-mapped" if mapped else "client-v6", partial(connect_and_hold, address, port, part))
