"""What takes ports: a proxy, short-lived clients, a resolver."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

from sockmon.labs.crew import FOREVER, Crew
from sockmon.labs.loads.pairs import LOW, connect, hold, listen, parts, port_range, serve
from sockmon.labs.loads.places import CHURN, DATABASE, TIME_WAIT

TIME_WAIT_SECONDS = 60


def ports(crew: Crew, used: int, listener_inside: bool) -> None:
    """A proxy with `used` connections to one database."""
    port = LOW + 7 if listener_inside else DATABASE
    serve(crew, "database", port, used)
    for part in parts(used):
        crew.start("proxy", partial(hold, "127.0.0.1", port, iter([""] * part), part))


def time_wait(crew: Crew, total: int) -> None:
    """Connections whose client closed first; made again when their minute is over."""
    low, high = port_range()
    if total > (most := int(Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").read_text())):
        raise RuntimeError(f"time_wait: {total} are more than net.ipv4.tcp_max_tw_buckets, {most}")
    # Past half of the range connect() takes a TIME_WAIT socket's port again, and that socket is gone.
    crew.start("short-lived", partial(_time_wait, total, max(1, (high - low) // 3)))


def _time_wait(total: int, each: int) -> Iterator[float]:
    listener = listen(TIME_WAIT)
    born: deque[float] = deque()
    while True:
        while born and born[0] < monotonic() - TIME_WAIT_SECONDS:
            born.popleft()
        for number in range(len(born), total):
            client = connect(f"127.0.0.{number // each + 1}", TIME_WAIT)
            server = listener.accept()[0]
            client.close()
            server.close()
            born.append(monotonic())
        yield 0.2


def churn(crew: Crew, rate: float, seconds: float) -> None:
    """`rate` short connections a second, for so many seconds."""
    crew.start("churner", partial(_churn, rate, seconds))


def _churn(rate: float, seconds: float) -> Iterator[float]:
    listener = listen(CHURN)
    start, made = monotonic(), 0
    while made < rate * seconds:
        while made < min(monotonic() - start, seconds) * rate:
            client = connect("127.0.0.1", CHURN)
            server = listener.accept()[0]
            client.close()
            server.close()
            made += 1
        yield 0.02


def udp(crew: Crew, total: int) -> None:
    """UDP sockets on ephemeral ports."""
    for part in parts(total):
        crew.start("resolver", partial(_udp, part))


def _udp(total: int) -> Iterator[float]:
    held = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(total)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    yield FOREVER
