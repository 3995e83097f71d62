"""The data that waits in TCP sockets: equal to what was sent and not read, and found in any number of sockets."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from sockmon.kernel import netlink
from sockmon.kernel.sockets import sk_meminfo, sock_diag, tcp_queues
from sockmon.kernel.sockets.sock_diag import Diag
from sockmon.kernel.sockets.socket_rows import sockets_by_inode
from sockmon.kernel.sockets.tcp_queues import QueueScan, TcpQueueScan
from tests.kernel.test_proc_net import text
from tests.netns import inside

BYTES = 100_000
pytestmark = pytest.mark.usefixtures("needs_userns")


def scan(diag: Diag | None = None) -> TcpQueueScan:
    return netlink.run(tcp_queues.tcp_queues(diag or netlink.open_netlink()))


def scan_until(expected: Callable[[TcpQueueScan], bool]) -> TcpQueueScan:
    give_up = time.monotonic() + 30
    while not expected(found := scan()):
        assert time.monotonic() < give_up, found._replace(rows=())
        time.sleep(0.01)
    return found


def connected(held: ExitStack, address: str) -> tuple[socket.socket, socket.socket]:
    """Return a client and the server's socket of it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = held.enter_context(socket.create_server((address, 0), family=family))
    client = held.enter_context(socket.create_connection(listener.getsockname()[:2]))
    return client, held.enter_context(listener.accept()[0])


def fill(client: socket.socket) -> None:
    """Send until the kernel takes no more."""
    client.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            client.send(bytes(65536))


def port_of(end: str) -> int:
    return int(end.rpartition(":")[2])


def unread(address: str) -> tuple[TcpQueueScan, TcpQueueScan, int, int]:
    with ExitStack() as held:
        client, server = connected(held, address)
        client.sendall(bytes(BYTES))
        found = scan_until(lambda now: now.recv_queue == BYTES and not now.send_queue)
        with text() as files:
            return found, scan(files), server.getsockname()[1], os.fstat(server.fileno()).st_ino


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_was_sent_and_not_read_is_in_the_receive_queue(address: str) -> None:
    found, of_text, port, inode = inside(unread, address)
    (row,), (listed,) = found.rows, found.listed
    assert (row.inode, row.recv_queue, row.send_queue, found.inodes) == (inode, BYTES, 0, (inode,))
    assert row.memory > BYTES
    assert found.memory is not None
    assert found.memory >= row.memory
    assert (port_of(listed.local), listed.state, listed.zero_window) == (port, "ESTABLISHED", False)
    assert listed.received_ago is not None
    # The text of /proc has the queues, but neither memory nor times.
    assert (of_text.recv_queue, of_text.sockets, of_text.memory) == (BYTES, 1, None)
    assert of_text.listed[0].received_ago is None


def of_a_process() -> tuple[int, int]:
    with ExitStack() as held:
        client, server = connected(held, "127.0.0.1")
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        held.enter_context(socket.create_connection(listener.getsockname()))  # one connection, not one byte
        client.sendall(bytes(BYTES))
        scan_until(lambda now: now.recv_queue == BYTES and not now.send_queue)
        inodes = {os.fstat(each.fileno()).st_ino for each in (server, listener)}
        rows = netlink.run(sockets_by_inode(netlink.open_netlink(), inodes, limit=0))
        return rows.recv_queue, rows.send_queue


def test_the_queues_of_all_sockets_of_a_process_are_added_up_without_listeners() -> None:
    assert inside(of_a_process) == (BYTES, 0)


def stuck() -> tuple[TcpQueueScan, int]:
    with ExitStack() as held:
        client, _ = connected(held, "127.0.0.1")
        fill(client)
        return scan_until(lambda now: any(each.zero_window for each in now.listed)), client.getsockname()[1]


def test_a_peer_that_does_not_read_closes_its_window() -> None:
    found, port = inside(stuck)
    (sender,) = [each for each in found.listed if each.send_queue]
    assert (port_of(sender.local), sender.zero_window, sender.recv_queue) == (port, True, 0)
    assert sender.sent_ago is not None
    (reader,) = [each for each in found.listed if each.recv_queue]
    both = [found.listed.index(each) for each in (sender, reader)]
    assert [found.peers[at] for at in both] == [found.inodes[at] for at in reversed(both)]


def orphaned() -> TcpQueueScan:
    with ExitStack() as held:
        _, server = connected(held, "127.0.0.1")
        fill(server)
        server.close()
        return scan_until(lambda now: any(each.state == "FIN_WAIT1" for each in now.listed))


def test_an_orphan_has_memory_but_no_inode() -> None:
    found = inside(orphaned)
    (row,) = [row for row in found.rows if not row.inode]
    assert row.send_queue > 0


def idle() -> TcpQueueScan:
    with ExitStack() as held:
        connected(held, "127.0.0.1")
        client, server = connected(held, "127.0.0.1")
        client.close()  # FIN_WAIT2 without an owner: a minisocket
        assert server.recv(1) == b""
        return scan_until(lambda now: not now.send_queue)


def test_sockets_without_data_are_not_listed() -> None:
    found = inside(idle)
    assert (found.recv_queue, found.send_queue, found.sockets, found.rows, found.listed) == (0, 0, 0, (), ())
    assert found.memory is not None


def gone() -> bytes | None:
    messages: list[bytes] = []
    with ExitStack() as held, netlink.open_netlink() as diag:
        with ExitStack() as inner:
            connected(inner, "127.0.0.1")[1].sendall(b"x")
            netlink.run(sock_diag.tcp(diag, 1 << sock_diag.ESTABLISHED, lambda block, _: messages.append(block)))
        held.close()
        return sock_diag.one_tcp(diag, messages[0], sock_diag.INFO)


def test_a_socket_that_is_gone_is_not_found_again() -> None:
    assert inside(gone) is None


def message(inode: int, received: int, sent: int, memory: int, timer: int = 0, attribute: int = 7) -> bytes:
    fields = (socket.AF_INET, 1, timer, 0, bytes(4), bytes(16), bytes(16), received, sent, 0, inode)
    head = struct.pack("=16xBBBB4s16s16s16xIIII", *fields)
    return head + struct.pack("=HH9I", 40, attribute, memory, 0, 0, 0, 0, 0, 0, 0, 0)


def test_only_those_with_the_most_memory_are_kept_and_all_are_added_up() -> None:
    many = 5 * tcp_queues.MAX_KEPT
    found = QueueScan()
    step = 1000
    for first in range(1, many + 1, step):
        rows = [message(inode, inode, 1, 2 * inode) for inode in range(first, first + step)]
        found.absorb(b"".join(rows), len(rows[0]))
    assert (found.sockets, found.recv_queue, found.send_queue) == (many, many * (many + 1) // 2, many)
    assert found.memory == 2 * found.recv_queue
    assert len(found.found) <= 2 * tcp_queues.MAX_KEPT
    largest = {row.inode for row in found.found}
    assert largest >= set(range(many - tcp_queues.MAX_KEPT + 1, many + 1))


def test_memory_that_a_kernel_does_not_report_is_unknown() -> None:
    found = QueueScan()
    row = message(1, 5, 0, 9, attribute=9)
    found.absorb(row, len(row))
    assert (found.reports_memory, found.recv_queue) == (False, 5)
    assert sk_meminfo.find(row, len(row)) is None
