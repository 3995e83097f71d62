"""Receive buffers of UDP sockets: equal to what the kernel drops and to what /proc/net/udp shows."""

from __future__ import annotations

import socket
import struct

import pytest

from sockmon.kernel import netlink
from sockmon.kernel.sockets.sock_diag import MESSAGE
from sockmon.kernel.sockets.udp_buffers import MAX_ROWS, BufferScan, UdpBufferRow
from sockmon.kernel.sockets.udp_ports import udp_ports
from tests.netns import inside


def scan() -> tuple[UdpBufferRow, ...]:
    found = netlink.run(udp_ports(netlink.open_netlink(), 40000, 50000, [])).buffers
    assert found is not None
    return found


def flooded(family: int, address: str, asked: int) -> tuple[list[UdpBufferRow], int, int]:
    """What is read of a socket that never reads 400 datagrams, and drops and bytes as /proc/net shows them."""
    with socket.socket(family, socket.SOCK_DGRAM) as reader, socket.socket(family, socket.SOCK_DGRAM) as sender:
        if asked:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, asked)
        reader.bind((address, 2055))
        sender.connect((address, 2055))
        for _ in range(400):
            sender.send(bytes(1000))
        name = "udp" if family == socket.AF_INET else "udp6"
        with open(f"/proc/thread-self/net/{name}") as table:
            (row,) = [line.split() for line in table if line.split()[1].endswith(":0807")]
        return list(scan()), int(row[-1]), int(row[4].partition(":")[2], 16)


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["v4", "v6"]
)
@pytest.mark.parametrize("asked", [0, 65_536])
def test_bytes_and_drops_are_those_of_the_kernel(family: int, address: str, asked: int) -> None:
    [row], drops, queued = inside(flooded, int(family), address, asked)
    assert (row.address, row.port, row.queued, row.drops) == (address, 2055, queued, drops)
    assert drops > 0
    assert row.rcvbuf == (2 * asked or row.rcvbuf)
    assert 0.9 * row.rcvbuf < row.queued < 1.1 * row.rcvbuf


def idle() -> tuple[UdpBufferRow, ...]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 2055))
        return scan()


@pytest.mark.usefixtures("needs_userns")
def test_a_socket_with_nothing_to_read_and_no_drop_is_not_listed() -> None:
    assert inside(idle) == ()


def message(inode: int, queued: int, drops: int, rcvbuf: int = 1000, attribute: int = 7) -> bytes:
    fields = (socket.AF_INET, 7, 0, 0, bytes(4), bytes(16), bytes(16), queued, 0, 0, inode)
    head = struct.pack("=16xBBBB4s16s16s16xIIII", *fields)
    assert len(head) == MESSAGE
    return head + struct.pack("=HH9I", 40, attribute, queued, rcvbuf, 0, 0, 0, 0, 0, 0, drops)


def result(*messages: bytes) -> tuple[UdpBufferRow, ...] | None:
    buffers = BufferScan()
    buffers.absorb(b"".join(messages), len(messages[0]))
    return buffers.result()


def test_the_fullest_and_those_with_the_most_drops_are_listed() -> None:
    rows = [message(inode + 1, inode, 10_000 - inode) for inode in range(1000)]
    found = result(*rows)
    assert found is not None
    assert len(found) == 2 * MAX_ROWS
    assert {row.inode for row in found} == {*range(901, 1001), *range(1, 101)}
    assert [row.queued for row in found] == sorted((row.queued for row in found), reverse=True)


def test_a_kernel_that_does_not_report_the_memory_makes_it_unknown_and_not_empty() -> None:
    assert result(message(1, 5, 5, attribute=9)) is None
    assert result(message(1, 5, 5), message(2, 5, 5, attribute=9)) is None
