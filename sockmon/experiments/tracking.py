"""Connection tracking: how long an entry stays in the table, and when a new timeout applies to it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from sockmon.experiments.experiment import Experiment
from sockmon.kernel.conntrack import ANY_FAMILY, GET
from sockmon.kernel.netlink import NETFILTER, attributes, dump, open_netlink, run
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.tracking import enable_conntrack
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces
from sockmon.sandbox.sockets import close_silently, drop_incoming

_PREFIX = "net.netfilter.nf_conntrack_"
_LONG, _SHORT, _SHORTEST = 250, 100, 1
"""Seconds; an open connection whose data is not acknowledged gets at most 300."""
_NEAR = 20
"""Seconds that may have passed since the packet."""
_STREAM = 2.2
"""A UDP flow in both directions that is older, in seconds, is a stream: nf_conntrack_proto_udp.c."""
_BEGIN = 20
_TUPLE_ORIG, _TIMEOUT = 1, 7
_TUPLE_PROTO = 2
_NUMBERS = (2, 4, 7)
"""Attributes of a flow that tell it from others: its source port, the id of ICMP, that of ICMPv6."""
_ECHO = struct.Struct(">BBHHH")
_ICMP_ID = 4321
_UNASSIGNED = 253
"""A protocol number for experiments: RFC 3692."""
Flow = Callable[[ExitStack], Iterator[int]]
"""Brings an entry into its state and yields its source port, or what else tells it from others; each next step
sends another packet of the flow, or creates another entry if the flow has no more packets."""


def _seconds_left(port: int) -> int | None:
    """Return the seconds that the entry of the flow from `port` has left, or of the ICMP request with that id; 0
    is a flow without a number. None if it is gone."""
    found: dict[int, int] = {}

    def absorb(messages: bytes, length: int) -> None:
        for at in range(0, len(messages), length):
            entry = _attributes(messages[at : at + length], _BEGIN)
            proto = _attributes(_attributes(entry[_TUPLE_ORIG])[_TUPLE_PROTO])
            number = next((proto[each] for each in _NUMBERS if each in proto), bytes(2))
            found[struct.unpack(">H", number[:2])[0]] = struct.unpack(">I", entry[_TIMEOUT])[0]

    with open_netlink(NETFILTER) as netlink:
        run(dump(netlink, "conntrack table", GET, ANY_FAMILY, absorb, _BEGIN))
    return found.get(port)


def _attributes(message: bytes, start: int = 0) -> dict[int, bytes]:
    # The top bits are flags: NLA_F_NESTED, NLA_F_NET_BYTEORDER.
    return {kind & 0x3FFF: value for kind, value in attributes(message, start, "conntrack table").items()}


def _pair(held: ExitStack) -> tuple[socket.socket, socket.socket, int]:
    """Return a tracked connection and its source port."""
    listener = held.enter_context(sockets.listen())
    client = held.enter_context(socket.create_connection((sockets.LOOPBACK, sockets.SERVER_PORT), 5))
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
        drop_incoming(server)
        client.shutdown(socket.SHUT_WR)
        # A retransmitted FIN would be another state.
        close_silently(client)
        yield port


def _syn_sent(held: ExitStack) -> Iterator[int]:
    listener = held.enter_context(sockets.listen())
    drop_incoming(listener)
    while True:
        yield _without_more_packets(sockets.start_connect())


def _syn_recv(held: ExitStack) -> Iterator[int]:
    while True:
        with sockets.listen():
            client = sockets.start_connect(drop_replies=True)
            port = _without_more_packets(client)
        yield port


def _without_more_packets(client: socket.socket) -> int:
    """Close a socket in SYN_SENT, which sends nothing, and return its port."""
    port: int = client.getsockname()[1]
    client.close()
    return port


def _last_ack(held: ExitStack) -> Iterator[int]:
    while True:
        client, server, port = _pair(held)
        client.shutdown(socket.SHUT_WR)
        server.recv(1)
        # Else the client would send its FIN again.
        sockets.wait_for_value(partial(sockets.tcp_state, client), sockets.FIN_WAIT2)
        drop_incoming(client)
        server.shutdown(socket.SHUT_WR)
        close_silently(server)
        yield port


def _reset(held: ExitStack) -> Iterator[int]:
    while True:
        client, _, port = _pair(held)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        yield port


def _unacknowledged(held: ExitStack) -> Iterator[int]:
    while True:
        client, server, port = _pair(held)
        drop_incoming(server)
        client.send(b"!")
        # Retransmitted data would be another packet.
        close_silently(client)
        yield port


def _retransmitted(held: ExitStack) -> Iterator[int]:
    # With 0 every packet counts as one too many.
    set_sysctl(f"{_PREFIX}tcp_max_retrans", "0")
    yield from _established(held)


def _ping(held: ExitStack, family: int, protocol: int, request: int, address: str) -> Iterator[int]:
    pinger = held.enter_context(socket.socket(family, socket.SOCK_RAW, protocol))
    while True:
        # The kernel puts in the checksum of ICMPv6.
        check = 0xFFFF - (request << 8) - _ICMP_ID if family == socket.AF_INET else 0
        pinger.sendto(_ECHO.pack(request, 0, check, _ICMP_ID, 0), (address, 0))
        yield _ICMP_ID


def _unknown_protocol(held: ExitStack) -> Iterator[int]:
    sender = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, _UNASSIGNED))
    while True:
        sender.sendto(b"!", (sockets.LOOPBACK, 0))
        yield 0


def _udp(held: ExitStack, replied: bool) -> Iterator[int]:
    server = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    client = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    server.bind((sockets.LOOPBACK, sockets.SERVER_PORT))
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
    "tcp_timeout_close_wait": (_close_wait, "a connection closed by one side"),
    "tcp_timeout_fin_wait": (_fin_wait, "a connection whose FIN got no reply"),
    "tcp_timeout_syn_sent": (_syn_sent, "a SYN without an answer"),
    "tcp_timeout_syn_recv": (_syn_recv, "a handshake without its last ACK"),
    "tcp_timeout_last_ack": (_last_ack, "a connection whose last FIN got no reply"),
    "tcp_timeout_close": (_reset, "a connection that was reset"),
    "tcp_timeout_unacknowledged": (_unacknowledged, "a connection with unacknowledged data"),
    "tcp_timeout_max_retrans": (_retransmitted, "a connection with too many retransmissions"),
    "icmp_timeout": (partial(_ping, family=socket.AF_INET, protocol=1, request=8, address="127.0.0.1"), "a ping"),
    "icmpv6_timeout": (
        partial(_ping, family=socket.AF_INET6, protocol=58, request=128, address="::1"),
        "a ping of IPv6",
    ),
    "generic_timeout": (_unknown_protocol, "a flow of another protocol"),
    "udp_timeout": (partial(_udp, replied=False), "a UDP flow without a reply"),
    "udp_timeout_stream": (partial(_udp, replied=True), "a two-way UDP flow older than 2 s"),
}
_NO_MORE_PACKETS = tuple(
    f"tcp_timeout_{state}"
    for state in ("time_wait", "fin_wait", "syn_sent", "syn_recv", "last_ack", "close", "unacknowledged")
)


def _change_timeout(name: str) -> dict[str, Any]:
    key = _PREFIX + name
    enable_conntrack()
    with ExitStack() as held:
        set_sysctl(key, str(_LONG))
        flow = _FLOWS[name][0](held)
        port = next(flow)
        first = _left_after_packet(port, _LONG)
        set_sysctl(key, str(_SHORT))
        silent = _seconds_left(port)
        then = _left_after_packet(next(flow), _SHORT)
        set_sysctl(key, str(_SHORTEST))
        begin, port = time.monotonic(), next(flow)
        while _seconds_left(port) is not None:
            if time.monotonic() > begin + 30:
                raise RuntimeError("the entry was still there after 30 s")
            time.sleep(0.05)
        return {"first": first, "silent": silent, "then": then, "gone": round(time.monotonic() - begin, 1)}


def _left_after_packet(port: int, expected: int) -> int | None:
    """Return what the entry has left once the last packet has arrived."""
    sockets.wait_for_value(lambda: _is(_seconds_left(port), expected), True)
    return _seconds_left(port)


def _is(found: int | None, expected: int) -> bool:
    return found is not None and expected - _NEAR <= found <= expected


def _timeout(builder: LabBuilder, name: str) -> Result:
    [found] = measure_in_namespaces(builder, 6 if name == "udp_timeout_stream" else 2, _change_timeout, (name,))
    key, subject = _PREFIX + name, _FLOWS[name][1]
    new = name in _NO_MORE_PACKETS
    follows = "a new entry" if new else "the same entry after its next packet"
    steps = [
        Step(
            f"{key}={_LONG}",
            f"{subject} has {found['first']} s left in the table",
            "a packet sets the remaining time",
            _is(found["first"], _LONG),
        ),
        Step(
            f"{key}={_SHORT}",
            f"the same entry, without another packet, has {found['silent']} s left",
            "an entry without packets keeps its time",
            _is(found["silent"], _LONG),
        ),
        Step(
            f"{key}={_SHORT}",
            f"{follows} has {found['then']} s left",
            "a new entry has the new time" if new else "its next packet sets the new time",
            _is(found["then"], _SHORT),
        ),
        Step(
            f"{key}={_SHORTEST}",
            f"the entry was gone after {found['gone']} s",
            "the entry leaves the table after this time",
            _SHORTEST - 0.2 <= found["gone"] <= _SHORTEST + 5,
        ),
    ]
    numbers = (
        f"{subject} had {found['first']} s left with {_LONG}, {found['silent']} s after {_SHORT} was set, and"
        f" {follows} {found['then']} s"
    )
    return Result(steps, numbers, "a new timeout applies from the next packet on, not to entries without packets")


EXPERIMENTS = tuple(
    Experiment(
        _PREFIX + name,
        f"how long {subject} stays in the table",
        partial(_timeout, name=name),
        4 if name == "udp_timeout_stream" else 2,
        ("nft",),
    )
    for name, (_, subject) in _FLOWS.items()
)
