"""What goes wrong half-way: queues that fill, and connections of which one side has stopped."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator
from functools import partial
from time import monotonic

from sockmon.labs.crew import FOREVER, Crew
from sockmon.labs.loads.pairs import connect, listen, parts
from sockmon.labs.loads.places import FIN_WAIT, FORGETFUL, HALF_OPEN, STUCK
from sockmon.labs.namespaces import set_sysctl

_SO_ATTACH_FILTER = 26
_TCP_REPAIR = 19
_FIN_WAIT2 = 5


def stuck_listener(crew: Crew, backlog: int, overflow: int) -> None:
    """A server that never accepts, its queue full, and `overflow` clients more that keep trying."""
    with listen(STUCK, backlog) as listener:
        crew.start("stuck-app", partial(accept_never, listener))
    crew.start("waiting", partial(_overflow, backlog + 1, overflow))


def accept_never(listener: socket.socket) -> Iterator[float]:
    """Hold a listener and look away."""
    yield FOREVER
    listener.close()


def _overflow(fitting: int, more: int) -> Iterator[float]:
    held = [connect("127.0.0.1", STUCK) for _ in range(fitting)]
    held += [try_to_connect(STUCK) for _ in range(more)]
    yield FOREVER
    del held


def try_to_connect(port: int, deaf: bool = False) -> socket.socket:
    """A socket in SYN_SENT; a deaf one never hears the SYN-ACK, so that the listener's half stays SYN_RECV."""
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 20)
    if deaf:
        deafen(client)
    client.connect_ex(("127.0.0.1", port))
    return client


def deafen(one: socket.socket) -> None:
    """Let `one` hear nothing more: a filter drops all that comes for it, acknowledgements included."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(drop_all))
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def syn_recv(crew: Crew, total: int) -> None:
    """Half-open connections, kept by clients that answer nothing; at most 1,000."""
    set_sysctl("net.ipv4.tcp_synack_retries", "30")
    with listen(HALF_OPEN) as listener:
        crew.start("half-open", partial(accept_never, listener))
    crew.start("deaf-clients", partial(_half_open, total))


def _half_open(total: int) -> Iterator[float]:
    held = [try_to_connect(HALF_OPEN, deaf=True) for _ in range(total)]
    yield FOREVER
    del held


def close_wait(crew: Crew, total: int) -> None:
    """A process that never closes what its peers have closed; the peers' halves are gone."""
    for part in parts(total):
        crew.start("forgetful", partial(_halves, FORGETFUL, part, keep_server=True))


def fin_wait2(crew: Crew, total: int) -> None:
    """A process whose peers never close; their halves are gone, so that no CLOSE_WAIT stands beside."""
    for part in parts(total):
        crew.start("fin-waiter", partial(_halves, FIN_WAIT, part, keep_server=False))


def _halves(port: int, total: int, keep_server: bool) -> Iterator[float]:
    held = []
    with listen(port) as listener:
        for _ in range(total):
            client = connect("127.0.0.1", port)
            server = listener.accept()[0]
            client.shutdown(socket.SHUT_WR)
            _await_state(client, _FIN_WAIT2)
            held.append(server if keep_server else client)
            vanish(client if keep_server else server)
    yield FOREVER
    del held


def _await_state(one: socket.socket, state: int) -> None:
    give_up = monotonic() + 10
    while one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != state:
        if monotonic() > give_up:
            raise TimeoutError(f"no socket came to state {state}")


def vanish(one: socket.socket) -> None:
    """Close without a word to the peer: tcp(7), TCP_REPAIR."""
    one.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    one.close()
