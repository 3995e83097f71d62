"""Sockets in every state, for tests.load: established, half open, half closed, UDP and tracked flows."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, islice

from sockmon.sandbox import sockets
from sockmon.sandbox.loads.connections import (
    connect_and_hold,
    hold_open,
    read_port_range,
    split_by_process,
    start_servers,
)
from sockmon.sandbox.loads.port_numbers import FIN_WAIT, FORGETFUL, HALF_OPEN, IPV4_MAPPED, IPV6, SINK, STUCK, WEB
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.sockets import LOOPBACK, connect, listen, start_connect
from sockmon.sandbox.workers import FOREVER, WorkerGroup


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


def start_udp_sockets(workers: WorkerGroup, total: int) -> None:
    """Start UDP sockets on ephemeral ports."""
    for part in split_by_process(total):
        workers.start("resolver", partial(_hold_udp_sockets, part))


def _hold_udp_sockets(total: int) -> Iterator[float]:
    held = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(total)]
    for each in held:
        each.bind((LOOPBACK, 0))
    yield FOREVER


def start_udp_flows(workers: WorkerGroup, total: int) -> None:
    """Start tracked UDP flows that were never answered; their entries stay for an hour."""
    set_sysctl("net.netfilter.nf_conntrack_udp_timeout", "3600")
    workers.start("flows", partial(_create_udp_flows, total))


def _create_udp_flows(total: int) -> Iterator[float]:
    with socket.socket(type=socket.SOCK_DGRAM) as sink, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sink.bind(("", SINK))
        for number in range(total):
            sender.sendto(b"", (f"127.{2 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", SINK))
            with contextlib.suppress(BlockingIOError):
                sink.recv(1, socket.MSG_DONTWAIT)
    yield FOREVER
