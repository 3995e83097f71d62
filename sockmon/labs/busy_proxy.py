"""Health: a proxy at sixty percent of its ports and descriptors, and steady there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from time import sleep

from sockmon.labs.lab import Lab
from sockmon.labs.loads.pairs import listen, narrow
from sockmon.labs.loads.places import DATABASE, WEB
from sockmon.labs.loads.traffic import Pool, answer, ask_all_day, echo, may_open
from sockmon.labs.stage import Stage

PORTS, POOL, CLIENTS, LIMIT = 1000, 480, 400, 1500
THREADS = 32
FRESH = 0.5
"""Seconds between two fresh connections upstream: 120 of them stand in TIME_WAIT after a minute."""


def _proxy(listener: socket.socket) -> Iterator[float]:
    may_open(LIMIT)
    pool = Pool(DATABASE, POOL)
    turn = threading.Lock()
    for _ in range(THREADS - 1):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    threading.Thread(target=_refresh, args=(pool, turn), daemon=True).start()
    yield 0.0

    def ask(request: bytes) -> bytes:
        with turn:
            return pool.ask(request)

    yield from answer(listener, ask)


def _refresh(pool: Pool, turn: threading.Lock) -> None:
    while True:
        sleep(FRESH)
        with turn:
            pool.refresh()


def _build(stage: Stage) -> None:
    narrow(PORTS)
    # As towards another host: on loopback connect() takes ports in TIME_WAIT again after a second.
    stage.set_sysctl("net.ipv4.tcp_tw_reuse", 0)
    with listen(DATABASE) as listener:
        stage.start("database", partial(echo, listener, 4 * POOL))
    with listen(WEB) as listener:
        stage.start("proxy", partial(_proxy, listener))
    stage.start("clients", partial(ask_all_day, WEB, CLIENTS, requests=200, fresh=1))


LAB = Lab(
    name="busy-proxy",
    ceiling=None,
    title="a busy proxy at 60 %",
    does="A proxy has 480 of 1,000 ports in its pool, 2 fresh connections each second, and 60 % of its files.",
    look="no alarm: ports towards 127.0.0.1:5432 level off at 60 %",
    proves="TIME_WAIT that levels off is no growth without end, and 60 % that stand still are no alarm",
    build=_build,
    first=None,
    watch=60.0,
)
