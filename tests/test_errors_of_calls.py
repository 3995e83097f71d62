"""The running kernel returns the errors that `explain` describes, and the cause of each call is among them."""

from __future__ import annotations

import errno
import mmap
import select
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from sockmon.explain.symptoms import Symptom
from sockmon.explain.topics import find
from tests.netns import inside

NO_HOST = socket.inet_aton("192.0.2.9")
MAX_SENT = 253
"""SCM_MAX_FD."""


def tcp(stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.socket())


def udp(stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))


def unix(stack: ExitStack, kind: int = socket.SOCK_STREAM) -> socket.socket:
    return stack.enter_context(socket.socket(socket.AF_UNIX, kind))


def server(stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_server(("127.0.0.1", 0)))


def connect_twice(stack: ExitStack) -> None:
    client, place = tcp(stack), server(stack).getsockname()
    client.connect(place)
    client.connect(place)


def connect_without_waiting(stack: ExitStack) -> None:
    client = tcp(stack)
    client.setblocking(False)
    client.connect(server(stack).getsockname())


def bind_a_port_in_use(stack: ExitStack) -> None:
    tcp(stack).bind(server(stack).getsockname())


def bind_twice(stack: ExitStack) -> None:
    client = tcp(stack)
    client.bind(("127.0.0.1", 0))
    client.bind(("127.0.0.1", 0))


def connect_to_a_stale_file(stack: ExitStack) -> None:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "a.sock"
    unix(stack).bind(str(path))
    unix(stack).connect(str(path))


def bind_over_a_file(stack: ExitStack) -> None:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "a.sock"
    path.touch()
    unix(stack).bind(str(path))


def send_to_one_that_has_another_peer(stack: ExitStack) -> None:
    first, second = unix(stack, socket.SOCK_DGRAM), unix(stack, socket.SOCK_DGRAM)
    first.bind("\0first")
    second.bind("\0second")
    first.connect("\0second")
    unix(stack, socket.SOCK_DGRAM).connect("\0first")


def send_many_descriptors(stack: ExitStack) -> None:
    sender, receiver = map(stack.enter_context, socket.socketpair())
    socket.send_fds(sender, [b"x"], [receiver.fileno()] * (MAX_SENT + 1))


def join_without_an_interface(stack: ExitStack) -> None:
    group = socket.inet_aton("224.0.0.9") + NO_HOST
    udp(stack).setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)


def receive_nothing(stack: ExitStack) -> None:
    sock = udp(stack)
    sock.setblocking(False)
    sock.recv(1)


def epoll_of_a_file(stack: ExitStack) -> None:
    with tempfile.TemporaryFile() as file, select.epoll() as watched:
        watched.register(file.fileno())


def epoll_of_itself(stack: ExitStack) -> None:
    with select.epoll() as watched:
        watched.register(watched.fileno())


def epoll_of_one_that_is_not_in_the_set(stack: ExitStack) -> None:
    with select.epoll() as watched:
        watched.modify(udp(stack).fileno(), select.EPOLLIN)


def map_more_than_the_address_space(_: ExitStack) -> None:
    mmap.mmap(-1, 1 << 50).close()


CALLS: tuple[tuple[Callable[[ExitStack], object], str, str], ...] = (
    (lambda stack: tcp(stack).connect(("127.0.0.1", 9)), "ECONNREFUSED", "nothing listens on the port"),
    (connect_to_a_stale_file, "ECONNREFUSED", "unix socket without a listener"),
    (lambda stack: unix(stack).connect("/nonexistent/a.sock"), "ENOENT", "file of a unix socket"),
    (connect_without_waiting, "EINPROGRESS", "normal start of a connection"),
    (connect_twice, "EISCONN", "second call"),
    (lambda stack: tcp(stack).recv(1), "ENOTCONN", "socket without connect()"),
    (lambda stack: tcp(stack).send(b"x"), "EPIPE", "closed on this side"),
    (lambda stack: tcp(stack).connect(("224.0.0.9", 80)), "ENETUNREACH", "address without TCP"),
    (lambda stack: tcp(stack).connect(("192.0.2.9", 80)), "ENETUNREACH", "no route"),
    (lambda stack: udp(stack).connect(("127.255.255.255", 80)), "EACCES", "broadcast"),
    (lambda stack: tcp(stack).bind(("192.0.2.9", 0)), "EADDRNOTAVAIL", "address of another host"),
    (bind_a_port_in_use, "EADDRINUSE", "another listener"),
    (bind_over_a_file, "EADDRINUSE", "file of a unix socket"),
    (bind_twice, "EINVAL", "wrong state of the socket"),
    (send_many_descriptors, "EINVAL", "descriptors in one message"),
    (epoll_of_itself, "EINVAL", "wrong state of the socket"),
    (send_to_one_that_has_another_peer, "EPERM", "unix datagram socket of another peer"),
    (epoll_of_a_file, "EPERM", "file that epoll does not take"),
    (epoll_of_one_that_is_not_in_the_set, "ENOENT", "descriptor that is not in the set"),
    (lambda stack: udp(stack).sendto(bytes(65_508), ("127.0.0.1", 9)), "EMSGSIZE", "size of a datagram"),
    (join_without_an_interface, "ENETDOWN", "no interface for multicast"),
    (receive_nothing, "EAGAIN", "nothing to read, or no room to write"),
    (map_more_than_the_address_space, "ENOMEM", "overcommit"),
    (lambda _: socket.socket(99), "EAFNOSUPPORT", "family that is not there"),
)
ALIASES = {"ENODEV": "ENETDOWN"}
"""Errors that are described with another one."""


def errors_of_calls() -> list[str]:
    """Return the name of the error of each call; empty if it did not fail."""
    found = []
    for call, _, _ in CALLS:
        with ExitStack() as stack:
            try:
                call(stack)
            except OSError as error:
                found.append(errno.errorcode.get(error.errno or 0, ""))
            else:
                found.append("")
    return found


@pytest.mark.usefixtures("needs_userns")
def test_the_kernel_returns_the_error() -> None:
    found = inside(errors_of_calls)
    assert [ALIASES.get(name, name) for name in found] == [name for _, name, _ in CALLS]


@pytest.mark.parametrize(("name", "title"), sorted({(name, title) for _, name, title in CALLS}))
def test_the_cause_is_described(name: str, title: str) -> None:
    row = find(name)
    assert isinstance(row, Symptom)
    assert title in [cause.title for cause in row.causes]
