"""Connection tracking: how long an entry stays in the table, and from when on a new timeout counts for it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from sockmon.kernel.conntrack import ANY_FAMILY, GET
from sockmon.kernel.netlink import NETFILTER, attributes, dump, open_netlink, run
from sockmon.labs.loads.halves import deafen, vanish
from sockmon.labs.loads.tracking import track_connections
from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart
from sockmon.proofs.proof import Finding, Proof, Step

_PREFIX = "net.netfilter.nf_conntrack_"
_LONG, _SHORT, _SHORTEST = 250, 100, 1
"""Seconds; an open connection whose data is not acknowledged gets at most 300."""
_NEAR = 20
"""Seconds that may have gone by since."""
_STREAM = 2.2
"""Seconds from which on a UDP flow that goes both ways is a stream: net/netfilter/nf_conntrack_proto_udp.c."""
_BEGIN = 20
_TUPLE_ORIG, _TIMEOUT = 1, 7
_TUPLE_PROTO, _SOURCE_PORT = 2, 2
Flow = Callable[[ExitStack], Iterator[int]]
"""Brings an entry into its state, and gives its source port; each time that it is asked again there was another
packet of it, or where no packet comes any more there is another entry."""


def _left(port: int) -> int | None:
    """Seconds that the entry of the flow from `port` has left; None where it is gone."""
    found: dict[int, int] = {}

    def absorb(messages: bytes, length: int) -> None:
        for at in range(0, len(messages), length):
            entry = _attributes(messages[at : at + length], _BEGIN)
            proto = _attributes(_attributes(entry[_TUPLE_ORIG])[_TUPLE_PROTO])
            found[struct.unpack(">H", proto[_SOURCE_PORT][:2])[0]] = struct.unpack(">I", entry[_TIMEOUT])[0]

    with open_netlink(NETFILTER) as netlink:
        run(dump(netlink, "conntrack table", GET, ANY_FAMILY, absorb, _BEGIN))
    return found.get(port)


def _attributes(message: bytes, start: int = 0) -> dict[int, bytes]:
    # The top bits are flags: NLA_F_NESTED, NLA_F_NET_BYTEORDER.
    return {kind & 0x3FFF: value for kind, value in attributes(message, start, "conntrack table").items()}


def _pair(held: ExitStack) -> tuple[socket.socket, socket.socket, int]:
    """A tracked connection, and its source port."""
    listener = held.enter_context(sockets.server())
    client = held.enter_context(socket.create_connection((sockets.LOOPBACK, sockets.PORT), 5))
    server = held.enter_context(listener.accept()[0])
    server.settimeout(5)
    listener.close()
    return client, server, client.getsockname()[1]


def _established(held: ExitStack) -> Iterator[int]:
    client, server, port = _pair(held)
    while True:
        client.send(b"!")
        server.recv(1)
        yield port


def _time_wait(held: ExitStack) -> Iterator[int]:
    while True:
        client, server, port = _pair(held)
        client.close()
        server.recv(1)
        server.close()
        yield port


def _close_wait(held: ExitStack) -> Iterator[int]:
    client, server, port = _pair(held)
    client.shutdown(socket.SHUT_WR)
    server.recv(1)
    while True:
        yield port
        server.send(b"!")
        client.recv(1)


def _fin_wait(held: ExitStack) -> Iterator[int]:
    while True:
        client, server, port = _pair(held)
        deafen(server)
        client.shutdown(socket.SHUT_WR)
        # The FIN would come again, which is another state.
        vanish(client)
        yield port


def _udp(held: ExitStack, replied: bool) -> Iterator[int]:
    server = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    client = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    server.bind((sockets.LOOPBACK, sockets.PORT))
    client.connect(server.getsockname())
    begin = time.monotonic()
    while True:
        client.send(b"!")
        if replied:
            server.sendto(b"!", server.recvfrom(1)[1])
        if replied and time.monotonic() < begin + _STREAM:
            time.sleep(_STREAM)
            continue
        yield client.getsockname()[1]


_FLOWS: dict[str, tuple[Flow, str]] = {
    "tcp_timeout_established": (_established, "an open connection"),
    "tcp_timeout_time_wait": (_time_wait, "a closed connection"),
    "tcp_timeout_close_wait": (_close_wait, "a connection that one side has closed"),
    "tcp_timeout_fin_wait": (_fin_wait, "a connection whose FIN was not answered"),
    "udp_timeout": (partial(_udp, replied=False), "a UDP flow without an answer"),
    "udp_timeout_stream": (partial(_udp, replied=True), "a UDP flow both ways, more than 2 s old,"),
}
_NO_MORE_PACKETS = ("tcp_timeout_time_wait", "tcp_timeout_fin_wait")


def _entries(name: str) -> dict[str, Any]:
    key = _PREFIX + name
    track_connections()
    with ExitStack() as held:
        set_sysctl(key, str(_LONG))
        flow = _FLOWS[name][0](held)
        port = next(flow)
        first = _settled(port, _LONG)
        set_sysctl(key, str(_SHORT))
        silent = _left(port)
        then = _settled(next(flow), _SHORT)
        set_sysctl(key, str(_SHORTEST))
        begin, port = time.monotonic(), next(flow)
        while _left(port) is not None:
            if time.monotonic() > begin + 30:
                raise RuntimeError("the entry was still there after 30 s")
            time.sleep(0.05)
        return {"first": first, "silent": silent, "then": then, "gone": round(time.monotonic() - begin, 1)}


def _settled(port: int, expected: int) -> int | None:
    """What its entry has left once the last packet has come."""
    sockets.settled(lambda: _is(_left(port), expected), True)
    return _left(port)


def _is(found: int | None, expected: int) -> bool:
    return found is not None and expected - _NEAR <= found <= expected


def _timeout(stage: Stage, name: str) -> Finding:
    [found] = apart(stage, 6 if name == "udp_timeout_stream" else 2, _entries, (name,))
    key, subject = _PREFIX + name, _FLOWS[name][1]
    new = name in _NO_MORE_PACKETS
    follows = "a new one" if new else "the same after its next packet"
    steps = [
        Step(
            f"{key}={_LONG}",
            f"{subject} has {found['first']} s left in the table",
            "a packet sets what is left",
            _is(found["first"], _LONG),
        ),
        Step(
            f"{key}={_SHORT}",
            f"the same, without a packet since, has {found['silent']} s left",
            "an entry that is silent keeps its time",
            _is(found["silent"], _LONG),
        ),
        Step(
            f"{key}={_SHORT}",
            f"{follows} has {found['then']} s left",
            "a new entry has the new time" if new else "from its next packet on it has the new time",
            _is(found["then"], _SHORT),
        ),
        Step(
            f"{key}={_SHORTEST}",
            f"the entry was gone after {found['gone']} s",
            "then it leaves the table",
            _SHORTEST - 0.2 <= found["gone"] <= _SHORTEST + 5,
        ),
    ]
    numbers = (
        f"{subject} had {found['first']} s left with {_LONG}, {found['silent']} s after {_SHORT} was set, and"
        f" {follows} {found['then']} s"
    )
    return Finding(steps, numbers, "a new timeout counts from the next packet on, not for entries that are silent")


PROOFS = tuple(
    Proof(
        _PREFIX + name,
        f"how long {subject.rstrip(',')} stays in the table",
        partial(_timeout, name=name),
        4 if name == "udp_timeout_stream" else 2,
        ("nft",),
    )
    for name, (_, subject) in _FLOWS.items()
)
