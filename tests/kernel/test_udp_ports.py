"""Ephemeral UDP ports: the kernel still hands out exactly those that are not counted."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import pytest

from sockmon.kernel import netlink
from sockmon.kernel.sockets.udp_ports import UdpPortUse, udp_ports
from tests.netns import inside, set_sysctl

LOW, HIGH, RESERVED = 41000, 41099, [(41090, 41094)]


def unbound(family: socket.AddressFamily, address: str) -> list[socket.socket]:
    """Open sockets that connect without being bound, as many as the kernel allows."""
    held: list[socket.socket] = []
    with suppress(BlockingIOError):
        while len(held) <= HIGH - LOW + 1:
            one = socket.socket(family, socket.SOCK_DGRAM)
            one.connect((address, 53))
            held.append(one)
    return held


def bound(address: str, port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((address, port))
    return one


def use() -> UdpPortUse:
    return netlink.run(udp_ports(netlink.open_netlink(), LOW, HIGH, RESERVED))


def fill(
    holders: list[str], family: socket.AddressFamily, target: str
) -> tuple[UdpPortUse, int, UdpPortUse, set[int], set[int]]:
    """Return what is counted before and after unbound sockets have taken all there is, how many they got, and
    their owners; every holder has five ports."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    set_sysctl("net.ipv4.ip_local_reserved_ports", ",".join(f"{low}-{high}" for low, high in RESERVED))
    held = [bound(address, LOW + 5 * place + port) for place, address in enumerate(holders) for port in range(5)]
    shared = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in shared:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", HIGH))
    outside = bound("127.0.0.1", 30000)
    before = use()
    got = unbound(family, target)
    after = use()
    inodes = {os.fstat(one.fileno()).st_ino for one in (*held, *shared, *got)}
    assert os.fstat(outside.fileno()).st_ino not in after.inodes
    return before, len(got), after, set(after.inodes), inodes


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize(
    ("family", "target", "holders", "ipv4"),
    [
        (socket.AF_INET, "127.0.0.1", ["0.0.0.0", "127.0.0.9", "::", "::ffff:127.0.0.3"], 21),
        (socket.AF_INET, "127.0.0.1", ["0.0.0.0", "127.0.0.9", "::", "::1"], 16),
        (socket.AF_INET6, "::1", ["0.0.0.0", "127.0.0.9", "::", "::1"], 16),
    ],
)
def test_one_pool_for_all_addresses(
    family: socket.AddressFamily, target: str, holders: list[str], ipv4: int
) -> None:
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this kernel has no IPv6")
    before, got, after, inodes, expected = inside(fill, holders, family, target)
    assert (before.used, before.used_ipv4, before.usable) == (21, ipv4, 95)
    assert got == before.usable - (ipv4 if family == socket.AF_INET else before.used)
    assert (after.used, after.usable) == (95, 95)
    assert inodes == expected
