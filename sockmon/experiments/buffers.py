"""The buffers of a socket: what a program may request, and what the kernel uses by itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, NamedTuple

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces

_HUGE = 1 << 29
_TOTAL = 16 << 20
"""Bytes that are sent to see how far a buffer grows."""
_PART, _READ = 1 << 16, 1 << 22
_LOWAT = "net.ipv4.tcp_notsent_lowat"
_TCP_NOTSENT_LOWAT = 25


class _Direction(NamedTuple):
    """One of the two buffers of a socket."""

    option: int
    name: str
    most: str
    """The sysctl with the largest request."""
    tcp: str
    """The sysctl with the sizes of TCP."""


_RECEIVE = _Direction(socket.SO_RCVBUF, "SO_RCVBUF", "net.core.rmem_max", "net.ipv4.tcp_rmem")
_SEND = _Direction(socket.SO_SNDBUF, "SO_SNDBUF", "net.core.wmem_max", "net.ipv4.tcp_wmem")
_DIRECTIONS = {each.name: each for each in (_RECEIVE, _SEND)}


def _size(connection: socket.socket, of: _Direction) -> int:
    return connection.getsockopt(socket.SOL_SOCKET, of.option)


def _size_after_request(requested: int, of: _Direction) -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.setsockopt(socket.SOL_SOCKET, of.option, requested)
        return _size(datagrams, of)


def _requested_sizes(name: str) -> dict[str, int]:
    of = _DIRECTIONS[name]
    limit = _size_after_request(_HUGE, of) // 2
    with ExitStack() as held:
        old = held.enter_context(socket.socket())
        before = _size(old, of)
        set_sysctl(of.tcp, f"4096 {4 * limit} {8 * limit}")
        new = held.enter_context(socket.socket())
        return {
            "limit": limit,
            "half": _size_after_request(limit // 2, of),
            "tcp": 4 * limit,
            "new": _size(new, of),
            "before": before,
            "old": _size(old, of),
        }


def _largest_request(builder: LabBuilder, of: _Direction) -> Result:
    [found] = measure_in_namespaces(builder, 1, _requested_sizes, (of.name,))
    limit = found["limit"]
    steps = [
        Step(
            f"{of.most}={limit}",
            f"{of.name}={_HUGE:,} gave {2 * limit:,} bytes, {of.name}={limit // 2:,} gave {found['half']:,}",
            "the largest request that is granted; the kernel doubles each request",
            found["half"] == limit,
        ),
        Step(
            f"{of.tcp}='4096 {found['tcp']} {2 * found['tcp']}'",
            f"a new TCP socket without a request has {found['new']:,} bytes",
            "it does not limit the buffers that TCP sizes itself",
            found["new"] == found["tcp"] > 2 * limit,
        ),
        Step(
            f"{of.tcp}='4096 {found['tcp']} {2 * found['tcp']}'",
            f"an existing socket still has {found['old']:,} bytes",
            "existing sockets keep their buffers",
            found["old"] == found["before"] != found["new"],
        ),
    ]
    most, tcp = of.most.rpartition(".")[2], of.tcp.rpartition(".")[2]
    numbers = (
        f"with {most}={limit} a program that requested {_HUGE:,} bytes got twice {limit:,}, and a TCP socket"
        f" without a request {found['new']:,}, as in {tcp}"
    )
    return Result(steps, numbers, "this limits what a program requests, but not what TCP uses itself")


def _connection(held: ExitStack, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = held.enter_context(socket.create_connection((sockets.LOOPBACK, sockets.SERVER_PORT), 5))
    return client, held.enter_context(listener.accept()[0])


def _grown(of: _Direction, connection: tuple[socket.socket, socket.socket]) -> int:
    """Send much through a connection whose other end reads, and return the largest size of the buffer."""
    client, server = connection
    client.setblocking(False)
    sent = largest = 0
    while sent < _TOTAL:
        with suppress(BlockingIOError):
            while True:
                sent += client.send(bytes(_PART))
        largest = max(largest, _size(server if of == _RECEIVE else client, of))
        with suppress(BlockingIOError):
            while server.recv(_READ, socket.MSG_DONTWAIT):
                continue
    return largest


def _automatic_sizes(name: str, small: int, large: int) -> dict[str, Any]:
    of = _DIRECTIONS[name]
    with ExitStack() as held:
        set_sysctl(of.tcp, f"4096 {small} {small}")
        listener = held.enter_context(sockets.listen())
        first = _connection(held, listener)
        old = _size(listener, of)
        bounded = _grown(of, first)
        set_sysctl(of.tcp, f"4096 {2 * small} {large}")
        new = _size(held.enter_context(socket.socket()), of)
        kept = _size(listener, of)
        later = first if of == _SEND else _connection(held, listener)
        return {"old": old, "bounded": bounded, "new": new, "kept": kept, "grown": _grown(of, later)}


def _automatic(builder: LabBuilder, of: _Direction) -> Result:
    small, large = 65_536, 4 << 20
    [found] = measure_in_namespaces(builder, 2, _automatic_sizes, (of.name, small, large))
    later = "an open" if of == _SEND else "a new"
    first, second = f"{of.tcp}='4096 {small} {small}'", f"{of.tcp}='4096 {2 * small} {large}'"
    steps = [
        Step(
            first, f"a new socket has {found['old']:,} bytes", "the default of a new socket", found["old"] == small
        ),
        Step(
            first,
            f"after {_TOTAL >> 20} MB its connection has had at most {found['bounded']:,} bytes",
            "the kernel does not raise it above the maximum",
            found["bounded"] <= small,
        ),
        Step(
            second,
            f"a new socket has {found['new']:,} bytes",
            "the default of a new socket",
            found["new"] == 2 * small,
        ),
        Step(
            second,
            f"the socket from before still has {found['kept']:,} bytes",
            "existing sockets keep their size until they need more",
            found["kept"] == small,
        ),
        Step(
            second,
            f"after {_TOTAL >> 20} MB {later} connection has had {found['grown']:,} bytes",
            f"the kernel raises it up to the maximum, for {later} connection",
            small < found["grown"] <= large,
        ),
    ]
    numbers = (
        f"a new socket had {found['old']:,} and then {found['new']:,} bytes; a connection had at most"
        f" {found['bounded']:,}, and {later} one then {found['grown']:,}"
    )
    return Result(steps, numbers, "the default applies to new sockets, and the kernel stays below the maximum")


def _waiting_bytes(lowat: int, own: int = 0) -> int:
    """Return how many bytes a connection takes whose other end does not read."""
    set_sysctl(_LOWAT, str(lowat))
    with ExitStack() as held:
        client, _ = _connection(held, held.enter_context(sockets.listen()))
        if own:
            client.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, own)
        return sum(_sent(client))


def _sent(client: socket.socket) -> Iterator[int]:
    """Yield what each send() takes until the socket is not writable for some time."""
    client.settimeout(0.3)
    with suppress(TimeoutError):
        while True:
            yield client.send(bytes(_PART))


def _notsent(builder: LabBuilder) -> Result:
    unlimited, low = 2**32 - 1, 16_384
    cases = ((unlimited,), (low,), (unlimited, low))
    without, with_low, own = measure_in_namespaces(builder, 2, _waiting_bytes, *cases)
    subject = "a connection whose other end does not read took"
    steps = [
        Step(
            f"{_LOWAT}={unlimited}", f"{subject} {without:,} bytes", "the send buffer alone limits it", without > 0
        ),
        Step(
            f"{_LOWAT}={low}",
            f"{subject} {with_low:,} bytes",
            "send() takes little more than what can be sent and this",
            with_low < without / 2,
        ),
        Step(
            f"{_LOWAT}={unlimited}",
            f"with TCP_NOTSENT_LOWAT={low:,} on the socket it took {own:,} bytes",
            "a program may set its own value",
            own < without / 2,
        ),
    ]
    numbers = f"a connection whose other end does not read took {without:,} bytes without a limit and {with_low:,}"
    return Result(steps, f"{numbers} with {low:,}", "this limits what waits in a connection without being sent")


EXPERIMENTS = (
    Experiment(
        _RECEIVE.most,
        "the largest SO_RCVBUF; it is host-wide, and is only read",
        partial(_largest_request, of=_RECEIVE),
        1,
    ),
    Experiment(
        _SEND.most,
        "the largest SO_SNDBUF; it is host-wide, and is only read",
        partial(_largest_request, of=_SEND),
        1,
    ),
    Experiment(
        _RECEIVE.tcp,
        "the receive buffer of new sockets, and how far it grows",
        partial(_automatic, of=_RECEIVE),
        2,
    ),
    Experiment(
        _SEND.tcp, "the send buffer of new sockets, and how far it grows", partial(_automatic, of=_SEND), 2
    ),
    Experiment(_LOWAT, "how much may wait in a connection without being sent", _notsent, 2),
)
