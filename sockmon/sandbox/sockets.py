"""What labs and experiments do with TCP sockets, and how they count them."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.workers import FOREVER

SERVER_PORT = 5432
LOOPBACK = "127.0.0.1"
FIRST_PORT = 40000
"""The first port of a narrowed ip_local_port_range."""
ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT = 1, 2, 3, 4, 5, 6
"""TCP states, an enum in include/net/tcp_states.h."""
TIMESTAMPS, SACK, WINDOW_SCALING = 1, 2, 4
"""TCPI_OPT_* of include/uapi/linux/tcp.h."""
IP_BIND_ADDRESS_NO_PORT = 24
_CLOSING_STATES = (FIN_WAIT1, FIN_WAIT2, 8, 9, 11)
"""FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK and CLOSING."""
_SO_ATTACH_FILTER = 26
_TCP_REPAIR = 19
_TCP_INFO_OPTIONS, _TCP_INFO_UNACKED = 5, 24


def limit_port_range(ports: int) -> None:
    """Leave `ports` ports for outgoing connections, from FIRST_PORT on."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{FIRST_PORT} {FIRST_PORT + ports - 1}")


def listen(port: int = SERVER_PORT, backlog: int = 4096, family: int = socket.AF_INET) -> socket.socket:
    """Return a listening socket on every address; an IPv6 one accepts IPv4 too."""
    return socket.create_server(
        ("", port), family=family, backlog=backlog, dualstack_ipv6=family == socket.AF_INET6
    )


def connect(address: str, port: int, source: str = "") -> socket.socket:
    """Return a connected socket, from `source` with a port that the kernel chooses at connect()."""
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if source:
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
    client.connect((address, port))
    return client


def try_connect(address: str, port: int) -> socket.socket | None:
    """Return a connected socket, or None if there is no port for it (EADDRNOTAVAIL); raise other errors."""
    try:
        return connect(address, port)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
    return None


def start_connect(port: int = SERVER_PORT, drop_replies: bool = False) -> socket.socket:
    """Return a socket in SYN_SENT; with `drop_replies` it drops the SYN-ACK: the server's half stays SYN_RECV."""
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 20)
    if drop_replies:
        drop_incoming(client)
    client.connect_ex((LOOPBACK, port))
    return client


def drop_incoming(connection: socket.socket) -> None:
    """Let a filter drop every packet for this socket, acknowledgements included."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(drop_all))
    connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def close_silently(connection: socket.socket) -> None:
    """Close without sending anything to the peer: tcp(7), TCP_REPAIR."""
    connection.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    connection.close()


def connect_until_no_port(
    address: str = LOOPBACK, port: int = SERVER_PORT, limit: int = 200, source: str = "", bound: bool = False
) -> list[socket.socket]:
    """Return connections, made until the kernel finds no port or there are `limit`; raise other errors.

    With `bound` each socket is bound before it connects: then the error is EADDRINUSE, else EADDRNOTAVAIL."""
    connections: list[socket.socket] = []
    while len(connections) < limit:
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
            return connections
        connections.append(client)
    return connections


def close_clients_first(listener: socket.socket, clients: list[socket.socket]) -> None:
    """Close `clients`, then what `listener` accepted from them: TIME_WAIT is on the client's side."""
    accepted = [listener.accept()[0] for _ in clients]
    for client in clients:
        client.close()
    for connection in accepted:
        connection.settimeout(5)
        connection.recv(1)
        connection.close()


def close_server_first(listener: socket.socket, clients: list[socket.socket]) -> None:
    """Close what `listener` accepted from `clients`, then the clients: TIME_WAIT is on the server's side."""
    for connection in [listener.accept()[0] for _ in clients]:
        connection.close()
    for client in clients:
        client.recv(1)
        client.close()


def close_after_clients(listener: socket.socket, total: int) -> NoReturn:
    """Accept `total` connections, close each after its client has, then keep the listener: a whole process."""
    try:
        accepted = [listener.accept()[0] for _ in range(total)]
        for connection in accepted:
            connection.recv(1)
            connection.close()
        time.sleep(FOREVER)
    finally:
        os._exit(1)


def tcp_states() -> list[int]:
    """Return the state of each IPv4 socket of this namespace: net/ipv4/tcp_ipv4.c, /proc/net/tcp."""
    rows = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return [int(row.split()[3], 16) for row in rows]


def count_in_state(state: int) -> int:
    """Return how many IPv4 sockets are in `state`."""
    return tcp_states().count(state)


def count_closing() -> int:
    """Return how many connections are being closed."""
    return sum(state in _CLOSING_STATES for state in tcp_states())


def accept_queue_length(listener: socket.socket) -> int:
    """Return how many connections wait for accept(); tcp_get_info gives a listener's queue as tcpi_unacked."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_UNACKED + 4)
    return int(struct.unpack_from("I", info, _TCP_INFO_UNACKED)[0])


def tcp_state(connection: socket.socket) -> int:
    """Return the TCP state of one socket."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def tcp_options(connection: socket.socket) -> int:
    """Return the options that both sides agreed on: TIMESTAMPS, SACK, WINDOW_SCALING."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_OPTIONS + 1)[_TCP_INFO_OPTIONS]


def connects_within(client: socket.socket, seconds: float) -> bool:
    """Return whether a started connect() succeeds within `seconds`."""
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    return bool(poll.poll(seconds * 1000)) and client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def tcp_counter(name: str) -> int:
    """Return one of TcpExt's counters of this namespace: net/ipv4/proc.c, /proc/net/netstat."""
    names, values = (
        line.split()
        for line in Path("/proc/self/net/netstat").read_text().splitlines()
        if line.startswith("TcpExt:")
    )
    return int(values[names.index(name)])


def wait_for_value(read: Callable[[], int], expected: int, seconds: float = 2.0) -> int:
    """Return the value of `read` as soon as it is `expected`, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while (value := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    return value
