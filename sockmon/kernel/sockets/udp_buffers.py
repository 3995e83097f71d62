"""Receive buffers of UDP sockets: bytes that wait, bytes that fit, datagrams that were dropped (net/ipv4/udp.c).

The numbers are struct sk_meminfo of a UDP dump (INET_DIAG_SKMEMINFO, include/uapi/linux/sock_diag.h). A datagram
is dropped if it would not fit, so a full buffer stands within one datagram of `rcvbuf`.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable
from itertools import compress
from typing import NamedTuple

from sockmon.kernel.sockets import sk_meminfo, sock_diag
from sockmon.kernel.sockets.sock_diag import RQUEUE, SPORT

MAX_ROWS = 100
"""Sockets that are listed at most, of the fullest and of those with the most drops each."""


class UdpBufferRow(NamedTuple):
    """One UDP socket with something in its receive buffer, or that has dropped datagrams."""

    address: str
    port: int
    inode: int
    queued: int
    """Bytes as the kernel charges them, overhead included (sk_rmem_alloc)."""
    rcvbuf: int
    """Bytes (sk_rcvbuf): net.core.rmem_default, or twice what SO_RCVBUF asked for."""
    drops: int
    """Datagrams that were dropped since the socket was made (sk_drops)."""


class BufferScan:
    """Takes the blocks of a UDP dump and keeps the sockets that matter; one for each dump."""

    def __init__(self) -> None:
        self.queued: dict[int, int] = {}
        """Bytes in the receive buffer of each socket that has some, by inode."""
        self._incomplete = False
        self._found: list[UdpBufferRow] = []

    def absorb(self, block: bytes, stride: int) -> None:
        """Take messages of one length that was asked for with SKMEMINFO."""
        start = sk_meminfo.find(block, stride)
        if start is None:
            self._incomplete = True
            return
        queued = memoryview(block).cast("I")[RQUEUE // 4 :: stride // 4].tolist()
        drops = sk_meminfo.column(block, stride, start, sk_meminfo.DROPS)
        if any(queued):
            self.queued.update(compress(zip(sock_diag.inodes(block, stride), queued, strict=True), queued))
        marked = [one or other for one, other in zip(queued, drops, strict=True)]
        for number in compress(range(len(marked)), marked):
            self._found.append(_row(block[number * stride : (number + 1) * stride], start))
        if len(self._found) > 50 * MAX_ROWS:
            self._found = list(self._largest())

    def result(self) -> tuple[UdpBufferRow, ...] | None:
        """Return the fullest sockets and those with the most drops, the fullest first; None if the kernel did not
        report the memory of every socket."""
        return None if self._incomplete else tuple(sorted(self._largest(), key=_fullness, reverse=True))

    def _largest(self) -> Iterable[UdpBufferRow]:
        kept = dict.fromkeys(heapq.nlargest(MAX_ROWS, self._found, key=_fullness))
        kept |= dict.fromkeys(heapq.nlargest(MAX_ROWS, self._found, key=lambda row: row.drops))
        return kept


def _fullness(row: UdpBufferRow) -> float:
    return row.queued / row.rcvbuf if row.rcvbuf else 0.0


def _row(message: bytes, start: int) -> UdpBufferRow:
    address, _ = sock_diag.addresses(message)
    (port,) = struct.unpack_from("!H", message, SPORT)
    queued = struct.unpack_from("=I", message, RQUEUE)[0]
    rcvbuf = sk_meminfo.value(message, start, sk_meminfo.RCVBUF)
    drops = sk_meminfo.value(message, start, sk_meminfo.DROPS)
    inode = struct.unpack_from("=I", message, sock_diag.INODE)[0]
    return UdpBufferRow(sock_diag.format_address(sock_diag.unmapped(address)), port, inode, queued, rcvbuf, drops)
