"""The faults of netlink: each is named, none is taken for data, none hangs."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel import netlink
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.listeners import listeners, unix_listeners
from sockmon.kernel.sockets.port_groups import port_groups
from sockmon.kernel.sockets.socket_rows import port_sockets, sockets_by_inode
from sockmon.kernel.sockets.tcp_states import count_states
from tests.kernel.fake_netlink import FakeNetlink, Reply, done, error, fake, joined, message, plain, tcp_socket
from tests.netns import inside


def counted(diag: socket.socket) -> Counter[tuple[int, int]]:
    """Return the sockets by (family, state), as the kernel of `diag` reports them."""
    counts: Counter[tuple[int, int]] = Counter()
    absorb = lambda block, stride: counts.update(sock_diag.state_counts(block, stride))  # noqa: E731
    netlink.run(sock_diag.tcp(diag, sock_diag.EVERY_STATE, absorb))
    return counts


def test_uniform_and_mixed_datagrams_count_the_same() -> None:
    long, short = tcp_socket(), tcp_socket(state=6, extra=bytes([8, 0, 15, 0, 0, 0, 0, 0]))
    uniform = fake(plain(joined(long, long), joined(short), done()))
    mixed = fake(plain(joined(long, short, long, done())))
    assert counted(uniform) == counted(mixed) == {(2, 1): 2, (2, 6): 1}


@pytest.mark.fault("N4")
@pytest.mark.parametrize(
    ("code", "words"), [(errno.EPERM, "EPERM"), (errno.EINVAL, "EINVAL"), (4095, "error 4095")]
)
def test_an_error_of_the_kernel_has_its_name(code: int, words: str) -> None:
    for reply in plain(error(code)), plain(tcp_socket(), done(-code)):
        with pytest.raises(ReadError, match=words):
            counted(fake(reply))


@pytest.mark.fault("N4")
@pytest.mark.parametrize("code", [errno.ENOENT, errno.EOPNOTSUPP])
def test_a_table_that_the_kernel_does_not_have_is_absent(code: int) -> None:
    with pytest.raises(NotPresent):
        counted(fake(plain(error(code))))


@pytest.mark.fault("N1", "N2", "N5", "N6")
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (plain(), "did not answer"),
        (plain(tcp_socket()), "did not answer"),
        (plain(message(4, b"")), "OVERRUN"),
        (plain(message(2, b"")), "without a number"),
        (plain(tcp_socket(), done(flags=0x12)), "changed while"),
        (plain(joined(lambda s: tcp_socket()(s)[:6] + b"\x12\0" + tcp_socket()(s)[8:])), "changed while"),
        (lambda s: [(tcp_socket()(s), socket.MSG_TRUNC, 0)], "did not fit"),
        (plain(lambda s: b""), "empty"),
        (plain(lambda s: tcp_socket()(s) + b"stray"), "stray"),
        (plain(lambda s: b"\0" * 64), "message of 0 bytes"),
        (plain(lambda s: b"\xff" * 64), "message of 4294967295 bytes"),
        (plain(message(18, b"short")), "not a valid length"),
        (plain(message(18, bytes(73))), "not a valid length"),
        (plain(tcp_socket(family=77)), "family 77"),
        (plain(tcp_socket(state=0)), "state 0"),
    ],
)  # fmt: skip
def test_a_malformed_answer_is_a_read_error(reply: Reply, words: str) -> None:
    with pytest.raises(ReadError, match=words):
        counted(fake(reply))


@pytest.mark.fault("N7")
def test_messages_of_others_are_dropped() -> None:
    spoofed = lambda s: [(tcp_socket(state=2)(s), 0, 4711), (tcp_socket()(s), 0, 0), (done()(s), 0, 0)]  # noqa: E731
    stale = plain(lambda s: tcp_socket(state=2)(s - 1), lambda s: done()(s - 1), tcp_socket(), done())
    assert counted(fake(spoofed)) == counted(fake(stale)) == {(2, 1): 1}


@pytest.mark.fault("N4", "N7")
def test_an_abandoned_dump_is_drained_and_the_request_repeated() -> None:
    refused = plain(error(errno.EBUSY), lambda s: tcp_socket(state=2)(s - 1), lambda s: done()(s - 1))
    kernel = FakeNetlink(refused, plain(tcp_socket(), done()))
    assert counted(kernel) == {(2, 1): 1}  # type: ignore[arg-type]
    assert len(kernel.requests) == 2


_READERS: dict[str, Callable[[socket.socket], netlink.Incremental[object]]] = {
    "states": lambda diag: count_states(diag),
    "listeners": lambda diag: listeners(diag),
    "unix": lambda diag: unix_listeners(diag),
    "groups": lambda diag: port_groups(diag, 1, 65535, (), (), True),
    "port": lambda diag: port_sockets(diag, "::", 40000, 5),
    "inodes": lambda diag: sockets_by_inode(diag, {7}, 5),
}


@pytest.mark.fault("N2")
@given(st.sampled_from(sorted(_READERS)), st.data())
def test_mutated_answers_give_a_result_or_a_read_error(name: str, data: st.DataObject) -> None:
    info = struct.pack("=HH", 108, 2) + bytes(104)
    kinds = [tcp_socket(), tcp_socket(state=8), tcp_socket(state=5), tcp_socket(family=10), tcp_socket(extra=info)]
    chosen = data.draw(st.lists(st.sampled_from(kinds), max_size=4))
    edits = data.draw(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4))
    cut = data.draw(st.one_of(st.none(), st.integers(0, 400)))

    def mutated(sequence: int) -> bytes:
        raw = bytearray(joined(*chosen, done())(sequence))
        for at, value in edits:
            raw[at % len(raw)] = value
        return bytes(raw[:cut])

    replies = [plain(mutated, done()) for _ in range(8)]
    with suppress(ReadError):
        netlink.run(_READERS[name](fake(*replies)))


def _many_connections(number: int) -> list[socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=number)
    held = [listener]
    for _ in range(number):
        held += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
    return held


def _left_and_asked_again() -> list[int]:
    held = _many_connections(400)
    diag = netlink.open_netlink()
    answers = []
    for steps in range(4):
        left = sock_diag.tcp(diag, sock_diag.EVERY_STATE, lambda block, stride: None)
        for _ in range(steps):
            next(left, None)
        left.close()
        answers.append(counted(diag)[2, 1])
    assert len(held) == 801
    return answers


@pytest.mark.usefixtures("needs_userns")
def test_a_dump_may_be_abandoned_anywhere_on_a_real_kernel() -> None:
    assert inside(_left_and_asked_again) == [800] * 4


def _interrupted_all_the_time() -> int:
    held = _many_connections(400)
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    diag = netlink.open_netlink()
    found = {counted(diag)[2, 1] for _ in range(50)}
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(held) == 801
    assert len(found) == 1
    return found.pop()


@pytest.mark.fault("N8")
@pytest.mark.usefixtures("needs_userns")
def test_signals_do_not_cut_a_dump() -> None:
    assert inside(_interrupted_all_the_time) == 800


def _spoofed() -> Counter[tuple[int, int]]:
    diag = netlink.open_netlink()
    diag.bind((0, 0))
    attacker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    steps = sock_diag.tcp(diag, sock_diag.EVERY_STATE, lambda block, stride: None)
    forged = joined(*[tcp_socket(state=2)] * 3)
    for sequence in range(20):
        attacker.sendto(forged(sequence), (diag.getsockname()[0], 0))
    steps.close()
    return counted(diag)


@pytest.mark.fault("N7")
@pytest.mark.usefixtures("needs_userns")
def test_another_process_cannot_speak_for_the_kernel() -> None:
    assert inside(_spoofed) == {}


def test_open_diag_is_closed_on_exec() -> None:
    with netlink.open_netlink() as diag:
        assert not os.get_inheritable(diag.fileno())
