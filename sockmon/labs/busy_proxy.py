"""Healthy: a proxy that steadily uses sixty percent of its ports and descriptors."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from time import sleep

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.files import set_nofile
from sockmon.sandbox.loads.port_numbers import DATABASE, WEB
from sockmon.sandbox.loads.traffic import ConnectionPool, keep_requesting, serve_echo, serve_requests
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.sockets import limit_port_range, listen

PORTS, POOL, CLIENTS, LIMIT = 1000, 480, 400, 1500
THREADS = 32
REPLACE_INTERVAL = 0.5
"""Seconds between two new connections to the database: after a minute 120 are in TIME_WAIT."""


def _proxy(listener: socket.socket) -> Iterator[float]:
    set_nofile(LIMIT)
    pool = ConnectionPool(DATABASE, POOL)
    lock = threading.Lock()
    for _ in range(THREADS - 1):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    threading.Thread(target=_replace_connections, args=(pool, lock), daemon=True).start()
    yield 0.0

    def forward(request: bytes) -> bytes:
        with lock:
            return pool.request(request)

    yield from serve_requests(listener, forward)


def _replace_connections(pool: ConnectionPool, lock: threading.Lock) -> None:
    while True:
        sleep(REPLACE_INTERVAL)
        with lock:
            pool.replace_oldest()


def _build(builder: LabBuilder) -> None:
    limit_port_range(PORTS)
    # As towards another host: on loopback connect() would reuse ports in TIME_WAIT after a second.
    builder.set_sysctl("net.ipv4.tcp_tw_reuse", 0)
    with listen(DATABASE) as listener:
        builder.start("database", partial(serve_echo, listener, 4 * POOL))
    with listen(WEB) as listener:
        builder.start("proxy", partial(_proxy, listener))
    builder.start("clients", partial(keep_requesting, WEB, CLIENTS, requests=200, new_connections=1))


LAB = Lab(
    name="busy-proxy",
    ceiling=None,
    title="a busy proxy at 60 %",
    scenario="A proxy's pool has 480 of 1,000 ports and 2 new connections per second; 60 % of its files are open.",
    what_to_see="no alarm: ports towards 127.0.0.1:5432 level off at 60 %",
    claim="TIME_WAIT that levels off and a steady 60 % raise no alarm",
    build=_build,
    expect_first=None,
    check_seconds=60.0,
)
