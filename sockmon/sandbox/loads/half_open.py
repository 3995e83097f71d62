"""Connections that are half open or half closed, and queues that are full."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox import sockets
from sockmon.sandbox.loads.connections import hold_open, split_by_process
from sockmon.sandbox.loads.port_numbers import FIN_WAIT, FORGETFUL, HALF_OPEN, STUCK
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.sockets import LOOPBACK, connect, listen, start_connect
from sockmon.sandbox.workers import FOREVER, WorkerGroup


def start_stuck_listener(workers: WorkerGroup, backlog: int, overflow: int) -> None:
    """Start a server that never accepts, clients that fill its queue, and `overflow` more that keep trying."""
    with listen(STUCK, backlog) as listener:
        workers.start("stuck-app", partial(hold_open, listener))
    workers.start("waiting", partial(_fill_queue, backlog + 1, overflow))


def _fill_queue(fitting: int, more: int) -> Iterator[float]:
    held = [connect(LOOPBACK, STUCK) for _ in range(fitting)]
    held += [start_connect(STUCK) for _ in range(more)]
    yield FOREVER
    del held


def start_syn_recv(workers: WorkerGroup, total: int) -> None:
    """Start handshakes that the clients never finish; at most 1,000."""
    set_sysctl("net.ipv4.tcp_synack_retries", "30")
    with listen(HALF_OPEN) as listener:
        workers.start("half-open", partial(hold_open, listener))
    workers.start("deaf-clients", partial(_hold_half_open, total))


def _hold_half_open(total: int) -> Iterator[float]:
    held = [start_connect(HALF_OPEN, drop_replies=True) for _ in range(total)]
    yield FOREVER
    del held


def start_close_wait(workers: WorkerGroup, total: int) -> None:
    """Start a process that never closes what its peers have closed; the peers' sockets are gone."""
    for part in split_by_process(total):
        workers.start("forgetful", partial(_hold_half_closed, FORGETFUL, part, keep_server=True))


def start_fin_wait2(workers: WorkerGroup, total: int) -> None:
    """Start a process whose peers never close; their sockets are gone, so that there is no CLOSE_WAIT."""
    for part in split_by_process(total):
        workers.start("fin-waiter", partial(_hold_half_closed, FIN_WAIT, part, keep_server=False))


def _hold_half_closed(port: int, total: int, keep_server: bool) -> Iterator[float]:
    held = []
    with listen(port) as listener:
        for _ in range(total):
            client = connect(LOOPBACK, port)
            server = listener.accept()[0]
            client.shutdown(socket.SHUT_WR)
            _wait_for_state(client, sockets.FIN_WAIT2)
            held.append(server if keep_server else client)
            sockets.close_silently(client if keep_server else server)
    yield FOREVER
    del held


def _wait_for_state(connection: socket.socket, state: int) -> None:
    if sockets.wait_for_value(partial(sockets.tcp_state, connection), state, 10) != state:
        raise TimeoutError(f"no socket reached state {state} within 10 s")
