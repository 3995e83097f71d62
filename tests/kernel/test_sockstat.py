"""sockstat: two scopes in one file."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import sockstat
from sockmon.kernel.netns import open_current
from sockmon.model.snapshot import Memory, Sockstat
from tests.netns import inside

V4 = b"""sockets: used 15
TCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5
UDP: inuse 6 mem 7
UDPLITE: inuse 0
RAW: inuse 8
FRAG: inuse 0 memory 0
"""
V6 = b"TCP6: inuse 9\nUDP6: inuse 10\nUDPLITE6: inuse 0\nRAW6: inuse 11\nFRAG6: inuse 0 memory 0\n"
PROTOCOLS = b"""protocol  size sockets  memory press maxhdr  slab module     cl
UNIX-STREAM 1152     12      -1   NI       0   yes  kernel      y
UNIX      1152      3      -1   NI       0   yes  kernel      y
TCP       2304      1      12   no     192   yes  kernel      y
"""


def test_every_number_finds_its_place() -> None:
    own, shared = sockstat.parse(V4, V6, PROTOCOLS)
    assert own == Sockstat(15, 1, 9, 3, 6, 10, 8, 11, 15)
    assert shared == (5, 7, 2, 4)


@pytest.mark.fault("Q17")
def test_without_ipv6_its_numbers_are_unknown() -> None:
    own, _ = sockstat.parse(V4, None, None)
    assert (own.tcp6_inuse, own.udp6_inuse, own.raw6_inuse, own.unix) == (None, None, None, None)


@pytest.mark.fault("Q8")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00\xff",
        V4.replace(b"tw 3", b"tw"),
        V4.replace(b"tw 3", b"tw -3"),
        V4.replace(b"tw 3", b"tw 0x3"),
        V4.replace(b"TCP:", b"TCP"),
        V4.replace(b"sockets: used 15\n", b""),
        V4.replace(b"orphan 2 ", b""),
        V4[:40],
    ],
)
def test_malformed_text_is_an_error(text: bytes) -> None:
    with pytest.raises(ReadError):
        sockstat.parse(text, V6, PROTOCOLS)


@pytest.mark.parametrize("text", [b"", b"x y\n", b"protocol sockets\nTCP 1\n", b"protocol sockets\nUNIX -1\n"])
def test_unix_sockets_that_are_not_counted_are_unknown(text: bytes) -> None:
    assert sockstat.parse(V4, V6, text)[0].unix is None


def test_limits_come_from_the_initial_namespace_only() -> None:
    shared = sockstat.HostSockets(1, 2, 3, 4)
    known = {"net.ipv4.tcp_mem": "10 20 30", "net.ipv4.tcp_max_orphans": "99"}
    assert sockstat.add_limits(shared, known) == Memory(1, 2, 3, 4, (10, 20, 30), 99)
    assert sockstat.add_limits(shared, {}) == Memory(1, 2, 3, 4, None, None)


def count_sockets() -> tuple[Sockstat, int]:
    kept = [socket.socketpair() for _ in range(20)]
    kept += [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(5)]
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    listed = len(Path("/proc/thread-self/net/unix").read_bytes().splitlines()) - 1
    own, _ = sockstat.read(open_current())
    del listeners
    return own, listed


@pytest.mark.usefixtures("needs_userns")
def test_a_private_namespace_counts_its_own_sockets() -> None:
    own, listed = inside(count_sockets)
    assert own.unix == listed == 50
    assert (own.tcp_inuse, own.udp_inuse, own.time_wait) == (3, 1, 0)
