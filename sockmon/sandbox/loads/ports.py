"""Processes that use up ports: a proxy, short-lived clients, a resolver."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

from sockmon.sandbox.loads.connections import connect_and_hold, read_port_range, split_by_process, start_servers
from sockmon.sandbox.loads.port_numbers import CHURN, DATABASE, TIME_WAIT
from sockmon.sandbox.sockets import FIRST_PORT, LOOPBACK, connect, listen, try_connect
from sockmon.sandbox.workers import WorkerGroup

TIME_WAIT_SECONDS = 60


def start_proxy(workers: WorkerGroup, used: int, listener_inside: bool = False) -> None:
    """Start a proxy with `used` connections to one database, whose port may be inside the port range."""
    port = FIRST_PORT + 7 if listener_inside else DATABASE
    start_servers(workers, "database", port, used)
    for part in split_by_process(used):
        workers.start("proxy", partial(connect_and_hold, LOOPBACK, port, part))


def grow_pool(port: int, size: int) -> Iterator[float]:
    """Connect until no port is free or there are `size` connections, and keep trying."""
    pool: list[socket.socket] = []
    while True:
        while len(pool) < size and (client := try_connect(LOOPBACK, port)):
            pool.append(client)
        yield 0.2


def start_time_wait(workers: WorkerGroup, total: int) -> None:
    """Start connections whose client closes first, and make them again when their minute is over."""
    low, high = read_port_range()
    if total > (maximum := int(Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").read_text())):
        raise RuntimeError(f"time_wait: {total} is more than net.ipv4.tcp_max_tw_buckets, {maximum}")
    # Beyond half of the range connect() takes the port of a TIME_WAIT socket again, and that socket is gone.
    workers.start("short-lived", partial(_keep_in_time_wait, total, max(1, (high - low) // 3)))


def _keep_in_time_wait(total: int, per_address: int) -> Iterator[float]:
    listener = listen(TIME_WAIT)
    closed_at: deque[float] = deque()
    while True:
        while closed_at and closed_at[0] < monotonic() - TIME_WAIT_SECONDS:
            closed_at.popleft()
        for number in range(len(closed_at), total):
            _connect_and_close(f"127.0.0.{number // per_address + 1}", TIME_WAIT, listener)
            closed_at.append(monotonic())
        yield 0.2


def start_churn(workers: WorkerGroup, rate: float, seconds: float) -> None:
    """Start `rate` short connections per second, for so many seconds."""
    workers.start("churner", partial(_churn, rate, seconds))


def _churn(rate: float, seconds: float) -> Iterator[float]:
    listener = listen(CHURN)
    start, made = monotonic(), 0
    while made < rate * seconds:
        while made < min(monotonic() - start, seconds) * rate:
            _connect_and_close(LOOPBACK, CHURN, listener)
            made += 1
        yield 0.02


def _connect_and_close(address: str, port: int, listener: socket.socket) -> None:
    client = connect(address, port)
    server = listener.accept()[0]
    client.close()
    server.close()
