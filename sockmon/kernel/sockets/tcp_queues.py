"""Data that waits in TCP sockets: Recv-Q, Send-Q and the memory that the kernel charges for it.

rqueue is what was received and not read, wqueue what was written and not acknowledged (tcp_diag_get_info(),
net/ipv4/tcp_diag.c). The memory of struct sk_meminfo is larger: overhead, and data that arrived out of order.
"""

from __future__ import annotations

import heapq
import struct
from itertools import compress
from operator import add
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.netlink import Incremental, attributes
from sockmon.kernel.sockets import sk_meminfo, sock_diag
from sockmon.kernel.sockets.sock_diag import READER, STATES, Diag, TextDiag
from sockmon.kernel.sockets.socket_rows import endpoint
from sockmon.model.queues import QueuedSocket

MAX_KEPT = 10_000
"""Sockets that are kept for the sums of processes, those with the most memory."""
MAX_LISTED = 5
"""Sockets that are listed, of the longest receive queues and of the longest send queues each."""

_WITH_DATA = sum(
    1 << state
    for state in (
        sock_diag.ESTABLISHED,
        sock_diag.FIN_WAIT1,
        sock_diag.FIN_WAIT2,
        sock_diag.CLOSE_WAIT,
        sock_diag.LAST_ACK,
        sock_diag.CLOSING,
    )
)
_TIMER_PROBE = 4  # idiag_timer of a socket that probes the window of its peer, which is closed
_RETRANSMITS = 19  # idiag_retrans
_LAST_DATA_SENT, _LAST_DATA_RECV = 44, 52  # struct tcp_info, milliseconds ago


class QueuedRow(NamedTuple):
    """One socket with data."""

    memory: int
    """Bytes as the kernel charges them; recv_queue + send_queue if it does not report that."""
    recv_queue: int
    send_queue: int
    inode: int
    """0: no process holds it."""
    diag: bytes
    """The message of the dump: struct inet_diag_msg and its attributes."""


class TcpQueueScan(NamedTuple):
    """The sums over all sockets, and the sockets with the most memory."""

    recv_queue: int
    send_queue: int
    memory: int | None
    """Bytes of all sockets; None if the kernel does not report it."""
    sockets: int
    """Sockets with data."""
    rows: tuple[QueuedRow, ...]
    """At most MAX_KEPT, those with the most memory first."""
    listed: tuple[QueuedSocket, ...]
    """Those with the longest receive queues, then those with the longest send queues, without owners."""
    inodes: tuple[int, ...]
    """Of `listed`."""
    peers: tuple[int, ...]
    """Inodes of the other ends of `listed`; 0 for one that has no data or is elsewhere."""


def tcp_queues(diag: Diag) -> Incremental[TcpQueueScan]:
    """Return the data that waits in the TCP sockets of a namespace; raise ReadError.

    Costs a dump of all connections."""
    scan = QueueScan()
    yield from sock_diag.tcp(diag, _WITH_DATA, scan.absorb, extensions=sk_meminfo.REQUEST)
    rows = heapq.nlargest(MAX_KEPT, scan.found)
    longest = _longest(rows)
    listed = []
    for row in longest:
        listed.append(_queued_socket(row, _tcp_info(diag, row)))
        yield
    memory = scan.memory if scan.reports_memory else None
    inodes = tuple(row.inode for row in longest)
    queues = (scan.recv_queue, scan.send_queue, memory, scan.sockets)
    return TcpQueueScan(*queues, tuple(rows), tuple(listed), inodes, _peers(longest, rows))


class QueueScan:
    """Takes the blocks of the dump; no object is made for a socket without data."""

    def __init__(self) -> None:
        self.recv_queue = self.send_queue = self.memory = self.sockets = 0
        self.reports_memory = True
        self.found: list[QueuedRow] = []
        self._least = 0

    def absorb(self, block: bytes, stride: int) -> None:
        start = sk_meminfo.find(block, stride)
        if start is None and _is_of_minisockets(block, stride):
            return
        words = memoryview(block).cast("I")
        received = words[sock_diag.RQUEUE // 4 :: stride // 4].tolist()
        sent = words[sock_diag.WQUEUE // 4 :: stride // 4].tolist()
        if start is None:
            self.reports_memory = False
            memory = list(map(add, received, sent))
        else:
            queued = (sk_meminfo.RMEM_ALLOC, sk_meminfo.WMEM_QUEUED)
            memory = list(map(add, *(sk_meminfo.column(block, stride, start, field) for field in queued)))
            self.memory += sum(memory) + sum(sk_meminfo.column(block, stride, start, sk_meminfo.FWD_ALLOC))
        self.recv_queue += sum(received)
        self.send_queue += sum(sent)
        for number in compress(range(len(memory)), memory):
            self.sockets += 1
            if memory[number] > self._least:
                message = block[number * stride : (number + 1) * stride]
                inode = struct.unpack_from("=I", message, sock_diag.INODE)[0]
                self.found.append(QueuedRow(memory[number], received[number], sent[number], inode, message))
        if len(self.found) > 2 * MAX_KEPT:
            self.found = heapq.nlargest(MAX_KEPT, self.found)
            self._least = self.found[-1].memory


def _is_of_minisockets(block: bytes, stride: int) -> bool:
    """Return whether all sockets of a block wait on the TIME_WAIT timer: these have no queues."""
    return block[sock_diag.TIMER :: stride].count(sock_diag.TIMER_TIMEWAIT) == len(block) // stride


def _longest(rows: list[QueuedRow]) -> list[QueuedRow]:
    received = heapq.nlargest(MAX_LISTED, rows, key=lambda row: row.recv_queue)
    sent = heapq.nlargest(MAX_LISTED, rows, key=lambda row: row.send_queue)
    return list(
        dict.fromkeys([row for row in received if row.recv_queue] + [row for row in sent if row.send_queue])
    )


def _peers(listed: list[QueuedRow], rows: list[QueuedRow]) -> tuple[int, ...]:
    """Return the inode of the other end of each socket of `listed`, if that is one of `rows`; else 0."""
    wanted = {row.diag[sock_diag.DPORT : sock_diag.DPORT + 2] for row in listed}
    ports = slice(sock_diag.SPORT, sock_diag.SPORT + 2)
    found = {_ends(row.diag): row.inode for row in rows if row.diag[ports] in wanted}
    return tuple(found.get(_ends(row.diag)[::-1], 0) for row in listed)


def _ends(diag: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return address and port of the socket and of its peer."""
    source, destination = map(sock_diag.unmapped, sock_diag.addresses(diag))
    sport, dport = (diag[at : at + 2] for at in (sock_diag.SPORT, sock_diag.DPORT))
    return (source, sport), (destination, dport)


def _tcp_info(diag: Diag, row: QueuedRow) -> bytes:
    """Return struct tcp_info of one socket, which a dump of all of them would lock; empty if it is gone."""
    if isinstance(diag, TextDiag):
        return b""
    try:
        answer = sock_diag.one_tcp(diag, row.diag, sock_diag.INFO)
    except ReadError:
        return b""
    return attributes(answer, sock_diag.MESSAGE, READER).get(sock_diag.INFO, b"") if answer else b""


def _queued_socket(row: QueuedRow, info: bytes) -> QueuedSocket:
    source, destination = sock_diag.addresses(row.diag)
    sport, dport = struct.unpack_from("!HH", row.diag, sock_diag.SPORT)
    return QueuedSocket(
        local=endpoint(sock_diag.unmapped(source), sport),
        remote=endpoint(sock_diag.unmapped(destination), dport),
        state=STATES[row.diag[sock_diag.STATE]],
        recv_queue=row.recv_queue,
        send_queue=row.send_queue,
        zero_window=row.diag[sock_diag.TIMER] == _TIMER_PROBE,
        retransmits=row.diag[_RETRANSMITS],
        received_ago=_seconds(info, _LAST_DATA_RECV),
        sent_ago=_seconds(info, _LAST_DATA_SENT),
    )


def _seconds(info: bytes, at: int) -> float | None:
    return struct.unpack_from("=I", info, at)[0] / 1000 if len(info) >= at + 4 else None
