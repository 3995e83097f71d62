"""Ephemeral UDP ports: one pool for the namespace, because a socket that is not bound asks for a port that is free
on every address (net/ipv4/udp.c, udp_lib_get_port)."""

from __future__ import annotations

import socket
from array import array
from itertools import compress
from typing import NamedTuple

from sockmon.kernel import sock_diag
from sockmon.kernel.netlink import Steps
from sockmon.kernel.port_ranges import Ranges, free_table

INODES = 65_536
"""Inodes that are kept at most: SO_REUSEPORT puts many sockets on one port."""


class UdpUse(NamedTuple):
    """What the dump found."""

    used: int
    """Different ports of the range that any socket holds, reserved ones left out."""
    usable: int
    inodes: array[int]
    """Sockets on those ports, at most INODES."""


def udp_ports(diag: socket.socket, low: int, high: int, reserved: Ranges) -> Steps[UdpUse]:
    """Count the ports of low..high that UDP sockets hold, on whatever address and of both families; Unreadable.

    Connected or not, bound to one address or to all: each keeps its port from an IPv6 socket that looks for one,
    and all but those on an IPv6 address of their own from an IPv4 socket too."""
    free = free_table(low, high, reserved)
    usable = free.count(1)
    inodes = array("Q")
    taken = bytearray(65536)

    def absorb(block: bytes, stride: int) -> None:
        ports = sock_diag.local_ports(block, stride)
        kept = bytes(map(free.__getitem__, ports))
        for port in compress(ports, kept):
            taken[port] = 1
        found = compress(sock_diag.inodes(block, stride), kept)
        inodes.extend([inode for inode in found if inode][: INODES - len(inodes)])

    for family in socket.AF_INET, socket.AF_INET6:
        yield from sock_diag.inet(diag, family, socket.IPPROTO_UDP, absorb)
    return UdpUse(taken.count(1), usable, inodes)
