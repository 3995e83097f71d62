"""Sockets without an owner, names that forge rows, tables that change, and a million of them."""

from __future__ import annotations

import array
import ctypes
import errno
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from typing import cast

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import netlink
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.listeners import unix_listeners
from sockmon.kernel.sockets.port_groups import port_groups
from sockmon.kernel.sockets.socket_rows import group_sockets
from sockmon.model.snapshot import PortGroup
from tests.kernel.fake_netlink import FakeNetlink, done, tcp_socket
from tests.netns import child_environment, inside

HOME = "127.0.0.1"


def forged() -> tuple[str, list[str]]:
    """Return /proc/net/unix, and our list, with a name that looks like the end of one row and another complete
    one."""
    row = "0000000000000000: 00000002 00000000 00010000 0001 01 4242 /run/systemd/private"
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(f"\0z\n{row}")
        held.listen(1)
        found = netlink.run(unix_listeners(netlink.open_netlink()))
    return row, [each.address for each in found]


@pytest.mark.fault("Q6")
@pytest.mark.usefixtures("needs_userns")
def test_the_name_of_a_unix_socket_makes_no_row() -> None:
    row, addresses = inside(forged)
    assert addresses == [f"@z�{row}"]


def without_an_owner() -> tuple[int, int, list[bool]]:
    """Open ten connections: three of the client ends are in flight between processes, two are orphans whose FIN
    waits. Return how many the group has, how many have an owner, and whether those in flight have one."""
    listener = socket.create_server((HOME, 9000), backlog=20)
    port = listener.getsockname()[1]
    clients = [socket.create_connection((HOME, port)) for _ in range(10)]
    one, two = socket.socketpair(socket.AF_UNIX)
    flying, orphans, owned = clients[:3], clients[3:5], clients[5:]
    inodes = [os.fstat(each.fileno()).st_ino for each in flying]
    one.sendmsg(
        [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [each.fileno() for each in flying]))]
    )
    for orphan in orphans:
        orphan.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                orphan.send(bytes(1 << 16))
    for each in flying + orphans:
        each.close()
    rows = netlink.run(group_sockets(netlink.open_netlink(), HOME, HOME, port, limit=500))
    known, table = Owners(), ProcessTable()
    netlink.run(known.refresh([row for row in table.read(0.0).rows if row.pid == os.getpid()]))
    counted = sum(owner.sockets for owner in known.count(rows.inodes))
    assert len(owned) + len(two.recv(1)) == 6
    return rows.total, counted, [known.owner_of(inode) is not None for inode in inodes]


@pytest.mark.fault("Q15")
@pytest.mark.usefixtures("needs_userns")
def test_sockets_that_no_process_holds_are_counted_without_an_owner() -> None:
    assert inside(without_an_owner) == (10, 5, [False] * 3)


def hostile_interface(name: bytes) -> list[str]:
    """Return what `check` and `explain` print if an interface has this name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        libc = ctypes.CDLL(None, use_errno=True)
        down, rename = struct.pack("16sh14x8x", b"lo", 0), struct.pack("16s16s8x", b"lo", name)
        for request, argument in ((0x8914, down), (0x8923, rename)):
            assert libc.ioctl(any_socket.fileno(), request, argument) == 0, os.strerror(ctypes.get_errno())
    assert name in os.listdir(b"/proc/sys/net/ipv4/conf")
    printed = []
    for verb in (["check"], ["check", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "sockmon", *verb],
            capture_output=True, text=True, env=child_environment(), timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        printed.append(done.stdout + done.stderr)
    return printed


@pytest.mark.fault("Q16")
@pytest.mark.usefixtures("needs_userns")
def test_the_name_of_an_interface_is_sanitized() -> None:
    for printed in inside(hostile_interface, b"\x1b[2J\x1b]0;x\x07"):
        assert printed
        assert not {"\x1b", "\x07"} & set(printed)


STEADY = 2000


def churned() -> list[int]:
    """Return how many of the connections of a steady pool are counted, while others come and go as fast as they
    can."""
    stop = threading.Event()
    steady, busy = (socket.create_server((HOME, port), backlog=4096) for port in (9001, 9002))
    held = []
    for _ in range(STEADY):
        held += [socket.create_connection((HOME, 9001)), steady.accept()[0]]

    def churn() -> None:
        while not stop.is_set():
            socket.create_connection((HOME, 9002)).close()
            busy.accept()[0].close()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        diag, found = netlink.open_netlink(), []
        for _ in range(8):
            groups = netlink.run(port_groups(diag, 32768, 60999, (), (), time_wait=True)).groups
            found.append(next(each.used for each in groups if each.port == 9001))
    finally:
        stop.set()
        thread.join()
    assert len(held) == 2 * STEADY
    return found


@pytest.mark.fault("N1", "N9")
@pytest.mark.usefixtures("needs_userns")
def test_a_table_that_moves_counts_no_socket_twice_and_loses_none() -> None:
    assert inside(churned) == [STEADY] * 8


class Lossy(FakeNetlink):
    """A kernel that had no room for its answer."""

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


@pytest.mark.fault("R20")
def test_a_lost_answer_is_an_error_and_not_a_shorter_list() -> None:
    with pytest.raises(ReadError, match="No buffer space available"):
        netlink.run(unix_listeners(cast(socket.socket, Lossy())))


def small_buffer() -> int:
    """Return how many of many sockets are dumped through the smallest possible receive buffer."""
    held = [socket.socket(socket.AF_UNIX) for _ in range(1500)]
    for number, each in enumerate(held):
        each.bind(f"\0sockmon-{number}")
        each.listen(1)
    diag = netlink.open_netlink()
    diag.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    return len(netlink.run(unix_listeners(diag)))


@pytest.mark.fault("R20", "N1")
@pytest.mark.usefixtures("needs_userns")
def test_a_small_receive_buffer_loses_nothing() -> None:
    assert inside(small_buffer) == 1500


class Huge(FakeNetlink):
    """A kernel with a million connections to 20,000 servers; its datagrams are made as they are requested."""

    SOCKETS, SERVERS, AT_ONCE = 1_000_000, 20_000, 200

    def __init__(self) -> None:
        super().__init__()
        self._next = 0
        self._sequence = 0

    def send(self, request: bytes) -> int:
        self._sequence = struct.unpack_from("=I", request, 8)[0]
        return len(request)

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        made = done() if self._next == self.SOCKETS else self._datagram
        return made(self._sequence), [], 0, (0, 0)

    def _datagram(self, sequence: int) -> bytes:
        one = bytearray(tcp_socket()(sequence) * self.AT_ONCE)
        for at in range(0, len(one), len(one) // self.AT_ONCE):
            struct.pack_into("!HH", one, at + 20, 1024 + self._next % 60_000, 1024 + self._next % self.SERVERS)
            self._next += 1
        return bytes(one)


def many() -> tuple[int, int, int, int]:
    """Return the groups that are listed, all groups, sockets of all of them, and MiB by which the peak of our
    memory grew."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = netlink.run(port_groups(cast(socket.socket, Huge()), 1024, 65535, (), (), False))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return len(found.groups), found.groups_total, sum(map(_used, found.groups)) + found.other_used, grown >> 10


def _used(group: PortGroup) -> int:
    return group.used


@pytest.mark.fault("R16")
@pytest.mark.usefixtures("needs_userns")
def test_of_a_million_sockets_the_largest_groups_are_shown_in_bounded_memory() -> None:
    shown, groups, sockets, grown = inside(many)
    assert (shown, groups) == (20, Huge.SERVERS)
    # A group counts ports, and here one port may be used towards it more than once.
    assert sockets <= Huge.SOCKETS
    assert sockets > 0.99 * Huge.SOCKETS
    assert grown < 64
