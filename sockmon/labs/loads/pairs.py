"""Servers and their clients: connections that stand."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, islice
from pathlib import Path

from sockmon.labs.crew import FOREVER, Crew
from sockmon.labs.loads.places import MAPPED, SIX, WEB
from sockmon.labs.namespaces import set_sysctl

LOW = 40000
"""First port of a narrowed ip_local_port_range."""
PER_PROCESS = 15_000
"""Sockets that one process holds at most; the hard limit may say less."""

_IP_BIND_ADDRESS_NO_PORT = 24


def port_range() -> tuple[int, int]:
    """net.ipv4.ip_local_port_range of this namespace, both ends included."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)


def narrow(ports: int) -> None:
    """Leave `ports` ephemeral ports, from LOW on."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {LOW + ports - 1}")


def parts(total: int) -> Iterator[int]:
    """`total` cut into what single processes can hold."""
    most = min(PER_PROCESS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
    while total > 0:
        yield min(most, total)
        total -= most


def listen(port: int, backlog: int = 4096, family: int = socket.AF_INET) -> socket.socket:
    """A listening socket on every address; an IPv6 one takes IPv4 too."""
    return socket.create_server(
        ("", port), family=family, backlog=backlog, dualstack_ipv6=family == socket.AF_INET6
    )


def connect(address: str, port: int, source: str = "") -> socket.socket:
    """A connected socket, from `source` with a port that the kernel chooses at connect()."""
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if source:
        client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
    client.connect((address, port))
    return client


def accept(listener: socket.socket, total: int) -> Iterator[float]:
    """Accept `total` connections and hold them."""
    held = [listener.accept()[0] for _ in range(total)]
    yield FOREVER
    del held


def serve(crew: Crew, name: str, port: int, total: int, family: int = socket.AF_INET) -> None:
    """Processes that share one listener and accept `total` connections between them, as prefork servers do."""
    with listen(port, family=family) as listener:
        for part in parts(total):
            crew.start(name, partial(accept, listener, part))


def hold(address: str, port: int, sources: Iterator[str], total: int) -> Iterator[float]:
    """Connect `total` times and stay."""
    held = [connect(address, port, source) for source in islice(sources, total)]
    yield FOREVER
    del held


def established(crew: Crew, total: int) -> None:
    """Many clients of one healthy server."""
    serve(crew, "web-server", WEB, total)
    low, high = port_range()
    each = min(250, max(1, (high - low) // 4))
    addresses = (f"127.1.{number >> 8 & 255}.{number & 255}" for number in count(1))
    sources = chain.from_iterable([address] * each for address in addresses)
    for part in parts(total):
        crew.start("clients", partial(hold, "127.0.0.1", WEB, iter(list(islice(sources, part))), part))


def six(crew: Crew, total: int, mapped: bool) -> None:
    """Pairs of AF_INET6 sockets, over IPv6 or over IPv4."""
    port, address = (MAPPED, "::ffff:127.0.0.1") if mapped else (SIX, "::1")
    serve(crew, "server-mapped" if mapped else "server-v6", port, total, socket.AF_INET6)
    for part in parts(total):
        name = "client-mapped" if mapped else "client-v6"
        crew.start(name, partial(hold, address, port, iter([""] * part), part))
