"""Ephemeral UDP ports: one pool for the namespace, because a socket that is not bound needs a port that is free on
every address (net/ipv4/udp.c, udp_lib_get_port).
"""

from __future__ import annotations

import socket
from array import array
from contextlib import suppress
from itertools import compress, zip_longest
from typing import NamedTuple

from sockmon.errors import NotPresent
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.sockets import sk_meminfo, sock_diag
from sockmon.kernel.sockets.port_ranges import free_table
from sockmon.kernel.sockets.sock_diag import Diag
from sockmon.kernel.sockets.udp_buffers import BufferScan, UdpBufferRow
from sockmon.port_lists import Ranges


class UdpPortUse(NamedTuple):
    """The result of the dump."""

    used: int
    """Ports of the range that any socket holds, without reserved ones."""
    usable: int
    inodes: array[int]
    """Sockets on those ports, at most MAX_INODES."""
    buffers: tuple[UdpBufferRow, ...] | None
    """Sockets with something in their receive buffer, or with drops; None if the kernel does not report them."""
    queued: dict[int, int]
    """Bytes in the receive buffer of each socket that has some, by inode."""
    used_ipv4: int
    """Those of `used` that an IPv4 socket cannot get either."""


def udp_ports(diag: Diag, low: int, high: int, reserved: Ranges) -> Incremental[UdpPortUse]:
    """Return how many ports of low..high UDP sockets hold, on any address and of both families; raise ReadError.

    Connected or not, bound to one address or to all: each blocks its port for an IPv6 socket that needs one, and
    all but those on an IPv6 address of their own also for an IPv4 socket."""
    free = free_table(low, high, reserved)
    usable = free.count(1)
    inodes = array("Q")
    taken, taken_ipv4 = bytearray(65536), bytearray(65536)
    buffers = BufferScan()

    def absorb(block: bytes, stride: int, apart: bytes = b"") -> None:
        ports = sock_diag.local_ports(block, stride)
        kept = bytes(map(free.__getitem__, ports))
        for port, only_ipv6 in compress(zip_longest(ports, apart, fillvalue=0), kept):
            taken[port] = 1
            taken_ipv4[port] |= not only_ipv6
        found = compress(sock_diag.inodes(block, stride), kept)
        inodes.extend([inode for inode in found if inode][: sock_diag.MAX_INODES - len(inodes)])
        buffers.absorb(block, stride)

    def absorb_ipv6(block: bytes, stride: int) -> None:
        absorb(block, stride, sock_diag.on_ipv6_address(block, stride))

    yield from sock_diag.inet(diag, socket.AF_INET, socket.IPPROTO_UDP, absorb, sk_meminfo.REQUEST)
    with suppress(NotPresent):  # a kernel without IPv6
        yield from sock_diag.inet(diag, socket.AF_INET6, socket.IPPROTO_UDP, absorb_ipv6, sk_meminfo.REQUEST)
    return UdpPortUse(taken.count(1), usable, inodes, buffers.result(), buffers.queued, taken_ipv4.count(1))
