"""The sockets of one block of a dump, field by field: columns are read when a term or an order needs them."""

from __future__ import annotations

import struct
from functools import cached_property, lru_cache

from sockmon.kernel.netlink import ATTRIBUTE
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.sock_diag import INFO, LISTEN, MESSAGE, STATES, TIMER_TIMEWAIT

UNCONNECTED = "UNCONN"
"""State CLOSE of a socket of another protocol than TCP: it is open and has no peer. `ss` writes it so."""
RTT, LAST_DATA_SENT, LAST_DATA_RECV, TOTAL_RETRANS, DATA_SEGS_IN, DATA_SEGS_OUT = 68, 44, 52, 100, 152, 156
"""Offsets in struct tcp_info, include/uapi/linux/tcp.h."""
_WITHOUT_DATA = (sock_diag.LISTEN, sock_diag.CLOSE, sock_diag.SYN_SENT)


def state_name(protocol: str, state: int) -> str:
    """Return the name of a state, `state 14` for one that is newer than this list."""
    if state == sock_diag.CLOSE and protocol != "tcp":
        return UNCONNECTED
    return STATES.get(state, f"state {state}")


@lru_cache(65_536)
def _shown(address: bytes) -> str:
    text = sock_diag.format_address(address)
    return text if len(address) == 4 else f"[{text}]"


class Block:
    """Messages of one length; each column has one entry for each socket, None where the kernel reports nothing."""

    def __init__(self, protocol: str, data: bytes, stride: int) -> None:
        self.protocol, self.data, self.stride = protocol, data, stride
        self.count = len(data) // stride
        self._words = memoryview(data).cast("I")

    def message(self, number: int) -> bytes:
        """Return one message."""
        return self.data[number * self.stride : (number + 1) * self.stride]

    def _column(self, at: int) -> list[int]:
        return self._words[at // 4 :: self.stride // 4].tolist()

    @cached_property
    def states(self) -> bytes:
        """State numbers."""
        return self.data[sock_diag.STATE :: self.stride]

    @cached_property
    def recv_queues(self) -> list[int]:
        """Bytes; of a listener the connections that wait."""
        return self._column(sock_diag.RQUEUE)

    @cached_property
    def send_queues(self) -> list[int]:
        """Bytes; of a listener the backlog."""
        return self._column(sock_diag.WQUEUE)

    @cached_property
    def waiting(self) -> list[int]:
        """What waits in both queues: the backlog of a listener does not."""
        pairs = zip(self.states, self.recv_queues, self.send_queues, strict=True)
        return [received if state == LISTEN else received + sent for state, received, sent in pairs]

    @cached_property
    def inodes(self) -> list[int]:
        """Inodes; 0 if no descriptor refers to the socket."""
        return sock_diag.inodes(self.data, self.stride)

    @cached_property
    def users(self) -> list[int | None]:
        """Users; None if no descriptor refers to the socket: what the kernel reports then is no user."""
        return [
            user if inode else None for user, inode in zip(self._column(sock_diag.UID), self.inodes, strict=True)
        ]

    @cached_property
    def local_ports(self) -> list[int]:
        return sock_diag.local_ports(self.data, self.stride).tolist()

    @cached_property
    def remote_ports(self) -> list[int]:
        high, low = (self.data[sock_diag.DPORT + byte :: self.stride] for byte in (0, 1))
        return [256 * first + second for first, second in zip(high, low, strict=True)]

    def addresses(self, remote: bool) -> list[bytes]:
        """Return the local or the remote addresses, those that are v4-mapped as IPv4."""
        begin = sock_diag.DST if remote else sock_diag.SRC
        families = self.data[sock_diag.FAMILY :: self.stride]
        starts = range(begin, len(self.data), self.stride)
        return [
            self.data[at : at + 4] if family == 2 else sock_diag.unmapped(self.data[at : at + 16])
            for at, family in zip(starts, families, strict=False)
        ]

    def endpoints(self, remote: bool) -> list[str]:
        """Return address and port as the rows of the list show them."""
        ports = self.remote_ports if remote else self.local_ports
        return [f"{_shown(address)}:{port}" for address, port in zip(self.addresses(remote), ports, strict=True)]

    def ends(self, remote: bool) -> list[bytes]:
        """Return what orders addresses: IPv4 before IPv6, then by address and port."""
        begin = sock_diag.DPORT if remote else sock_diag.SPORT
        starts = range(begin, len(self.data), self.stride)
        return [
            len(address).to_bytes(1, "big") + address + self.data[at : at + 2]
            for address, at in zip(self.addresses(remote), starts, strict=False)
        ]

    def info(self, field: int) -> list[int | None]:
        """Return a u32 of struct tcp_info of each socket, which the dump must have been asked for."""
        start = self._info_start
        if start is None:
            return [tcp_info_field(self.message(number), field) for number in range(self.count)]
        return [*self._column(start + field)] if start >= 0 else [None] * self.count

    def ages(self, sent: bool) -> list[int | None]:
        """Return the milliseconds since data was last sent or received; None if it never was. What the kernel
        reports for a socket without data is the time since the connection was made, or since the boot."""
        ago = self.info(LAST_DATA_SENT if sent else LAST_DATA_RECV)
        segments = self.info(DATA_SEGS_OUT if sent else DATA_SEGS_IN)
        return [
            None if state in _WITHOUT_DATA or count == 0 else age
            for state, age, count in zip(self.states, ago, segments, strict=True)
        ]

    @cached_property
    def _info_start(self) -> int | None:
        """Where struct tcp_info begins in every message; -1 if none has it, None if they differ."""
        if self.data[sock_diag.TIMER :: self.stride].count(TIMER_TIMEWAIT) == self.count:
            return -1
        found = _attribute(self.data, 0, self.stride, INFO)
        if found is None:
            return None
        begin, size = found
        head = self.data[begin - 4 : begin]
        same = all(self.data[begin - 4 + byte :: self.stride].count(head[byte]) == self.count for byte in range(4))
        return begin if same and size >= DATA_SEGS_OUT + 4 else None


def tcp_info_field(message: bytes, field: int) -> int | None:
    """Return a u32 of struct tcp_info of one message; None if it has none, or this kernel's is too short."""
    found = _attribute(message, 0, len(message), INFO)
    if found is None or found[1] < field + 4:
        return None
    return int(struct.unpack_from("=I", message, found[0] + field)[0])


def _attribute(data: bytes, start: int, end: int, wanted: int) -> tuple[int, int] | None:
    """Return start and size of the payload of an attribute of the message in data[start:end]."""
    at = start + MESSAGE
    while at + 4 <= end:
        size, kind = ATTRIBUTE.unpack_from(data, at)
        if size < 4 or at + size > end:
            return None
        if kind == wanted:
            return at + 4, size - 4
        at += (size + 3) & ~3
    return None
