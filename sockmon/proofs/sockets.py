"""What proofs do with sockets, and how they count them."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sockmon.labs.crew import FOREVER
from sockmon.labs.namespaces import set_sysctl

PORT = 5432
LOOPBACK = "127.0.0.1"
ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT = 1, 2, 3, 4, 5, 6
"""enum in include/net/tcp_states.h."""
TIMESTAMPS, SACK, WINDOW_SCALING = 1, 2, 4
"""TCPI_OPT_* of include/uapi/linux/tcp.h."""
LOW = 20000
_CLOSING = (FIN_WAIT1, FIN_WAIT2, 8, 9, 11)
"""FIN_WAIT1 and 2, CLOSE_WAIT, LAST_ACK, CLOSING."""
IP_BIND_ADDRESS_NO_PORT = 24
_TCP_INFO_OPTIONS, _TCP_INFO_UNACKED = 5, 24


def port_range(ports: int) -> None:
    """Leave `ports` ports for outgoing connections."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {LOW + ports - 1}")


def server(port: int = PORT, backlog: int = 4096, address: str = "") -> socket.socket:
    """A listener that nothing accepts from unless it is told to."""
    return socket.create_server((address, port), backlog=backlog)


def fill(
    address: str = LOOPBACK, port: int = PORT, most: int = 200, source: str = "", bound: bool = False
) -> list[socket.socket]:
    """Connections until there is no port (EADDRNOTAVAIL, or with `bound` EADDRINUSE), or `most`; other errors are
    raised. `source` is the address that they come from; `bound` ones are bound to a port before they connect."""
    held: list[socket.socket] = []
    while len(held) < most:
        client = socket.socket()
        client.settimeout(5)
        try:
            if source:
                client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            if source or bound:
                client.bind((source, 0))
            client.connect((address, port))
        except OSError as error:
            client.close()
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
                raise
            return held
        held.append(client)
    return held


def close_first(listener: socket.socket, clients: list[socket.socket]) -> None:
    """Close `clients` and then what `listener` accepted from them: TIME_WAIT is the clients'."""
    accepted = [listener.accept()[0] for _ in clients]
    for client in clients:
        client.close()
    for connection in accepted:
        connection.settimeout(5)
        connection.recv(1)
        connection.close()


def close_second(listener: socket.socket, clients: list[socket.socket]) -> None:
    """Close what `listener` accepted from `clients` and then these: TIME_WAIT is the server's."""
    for connection in [listener.accept()[0] for _ in clients]:
        connection.close()
    for client in clients:
        client.recv(1)
        client.close()


def close_after(listener: socket.socket, total: int) -> NoReturn:
    """A server's life: accept `total` connections, close each after its client has, and hold the listener."""
    try:
        accepted = [listener.accept()[0] for _ in range(total)]
        for connection in accepted:
            connection.recv(1)
            connection.close()
        time.sleep(FOREVER)
    finally:
        os._exit(1)


def states() -> list[int]:
    """The state of each IPv4 socket of this namespace: net/ipv4/tcp_ipv4.c, /proc/net/tcp."""
    rows = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return [int(row.split()[3], 16) for row in rows]


def count(state: int) -> int:
    """IPv4 sockets in `state`."""
    return states().count(state)


def closing() -> int:
    """Sockets whose connection is being closed."""
    return sum(state in _CLOSING for state in states())


def queued(listener: socket.socket) -> int:
    """Connections that wait to be accepted: tcp_get_info gives a listener's queue as tcpi_unacked."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_UNACKED + 4)
    return int(struct.unpack_from("I", info, _TCP_INFO_UNACKED)[0])


def state(client: socket.socket) -> int:
    """Its TCP state."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def options(client: socket.socket) -> int:
    """What both sides agreed on: TIMESTAMPS, SACK, WINDOW_SCALING."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_OPTIONS + 1)[_TCP_INFO_OPTIONS]


def connected(client: socket.socket, seconds: float) -> bool:
    """True where a connect() that was begun has succeeded within `seconds`."""
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    return bool(poll.poll(seconds * 1000)) and client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def begin(address: str = LOOPBACK, port: int = PORT) -> socket.socket:
    """A connect() that is not waited for."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex((address, port))
    return client


def counter(name: str) -> int:
    """One of TcpExt's counters of this namespace: net/ipv4/proc.c, /proc/net/netstat."""
    names, values = (
        line.split()
        for line in Path("/proc/self/net/netstat").read_text().splitlines()
        if line.startswith("TcpExt:")
    )
    return int(values[names.index(name)])


def settled(read: Callable[[], int], expected: int, seconds: float = 2.0) -> int:
    """What `read` gives as soon as it is `expected`, or in the end."""
    until = time.monotonic() + seconds
    while (found := read()) != expected and time.monotonic() < until:
        time.sleep(0.02)
    return found
