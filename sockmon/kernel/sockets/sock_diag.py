"""The sock_diag ABI that all socket dumps share (include/uapi/linux/inet_diag.h): requests, offsets, names.

Messages of one length come as a block: field `at` of every socket is the column `block[at::stride]`. A field of
struct inet_diag_msg is at its place in the struct plus 16 (struct nlmsghdr); attributes begin at MESSAGE.
"""

from __future__ import annotations

import socket
import struct
import sys
from abc import ABC, abstractmethod
from array import array
from collections import Counter

from sockmon.errors import ReadError
from sockmon.kernel.netlink import BlockHandler, Incremental, attribute, dump, request_one
from sockmon.kernel.sockets import unix_diag

READER = "sock_diag"

ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT = 1, 2, 3, 4, 5, 6
CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = 7, 8, 9, 10, 11
_NAMES = "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
STATES = dict(enumerate(_NAMES.split(), 1))
"""TCP states by number, the kernel's names (include/net/tcp_states.h)."""
EVERY_STATE = 0xFFF
"""Every state but BOUND_INACTIVE, which walks another table."""
BOUND_INACTIVE = 1 << 13
UNKNOWN = 0xFFFFFFFF
"""A backlog that is not known; the largest valid one is half of it."""
INFO = 2
"""The extension bit of INET_DIAG_INFO: struct tcp_info."""

FAMILY, STATE, TIMER, SPORT, DPORT, SRC, DST, IF, COOKIE = 16, 17, 18, 20, 22, 24, 40, 56, 60
EXPIRES, RQUEUE, WQUEUE, UID, INODE, MESSAGE = 68, 72, 76, 80, 84, 88
QUEUES = struct.Struct("=IIII")
"""At RQUEUE: receive queue, send queue, user, inode."""
MAX_INODES = 65_536
"""Inodes that are kept for one group, one source or one list at most."""
TIMER_TIMEWAIT = 3
"""idiag_timer of a minisocket, whatever state it reports."""

_GETSOCK, _BY_FAMILY = 18, 20  # TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY
_ID_SIZE = 48  # struct inet_diag_sockid
_NO_COOKIE = (1 << 64) - 1  # INET_DIAG_NOCOOKIE
_ATTR_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE
_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_WORD = int.from_bytes(_MAPPED[8:], sys.byteorder)


class TextDiag(ABC):
    """Another source of the same messages, with less in them, which is read if netlink is refused."""

    @abstractmethod
    def tcp(self, states: int, absorb: BlockHandler, program: bytes, sport: int) -> Incremental[None]:
        """Dump as `tcp` below."""

    @abstractmethod
    def inet(self, family: int, protocol: int, absorb: BlockHandler) -> Incremental[None]:
        """Dump as `inet` below."""

    @abstractmethod
    def unix(self, absorb: BlockHandler) -> Incremental[None]:
        """Dump as `unix` below, in every state; a row must not be trusted unless its inode is known from another
        source."""


Diag = socket.socket | TextDiag


def tcp(
    diag: Diag, states: int, absorb: BlockHandler, bytecode: bytes = b"", extensions: int = 0, sport: int = 0
) -> Incremental[None]:
    """Dump the TCP sockets of both families in one walk, which only the legacy request TCPDIAG_GETSOCK does.

    `states` is a mask of 1 << state; `bytecode` filters in the kernel, `sport` by one local port (0: any)."""
    if isinstance(diag, TextDiag):
        return diag.tcp(states, absorb, bytecode, sport)
    body = struct.pack("=BBBB", socket.AF_INET, 0, 0, extensions)
    body += struct.pack("!H46x", sport) + struct.pack("=II", states, 0)
    if bytecode:
        body += attribute(_ATTR_BYTECODE, bytecode)
    return dump(diag, READER, _GETSOCK, body, absorb, MESSAGE)


def inet(diag: Diag, family: int, protocol: int, absorb: BlockHandler, extensions: int = 0) -> Incremental[None]:
    """Dump all sockets of one family and protocol (UDP, RAW) with struct inet_diag_req_v2.

    `extensions` is a mask of attributes to add, as INFO; the text of /proc has none of them."""
    if isinstance(diag, TextDiag):
        return diag.inet(family, protocol, absorb)
    body = struct.pack("=BBBBI48x", family, protocol, extensions, 0, 0xFFFFFFFF)
    return dump(diag, READER, _BY_FAMILY, body, absorb, MESSAGE)


def one_tcp(diag: socket.socket, message: bytes, extensions: int) -> bytes | None:
    """Return the socket of `message`, a row of a dump, as it is now and with `extensions`; None if it is gone.

    The kernel looks it up by its addresses and cookie, whatever the number of sockets; raise ReadError."""
    body = struct.pack("=BBBBI", message[FAMILY], socket.IPPROTO_TCP, extensions, 0, EVERY_STATE)
    return request_one(diag, READER, _BY_FAMILY, body + message[SPORT : SPORT + _ID_SIZE])


def unix(diag: Diag, states: int, show: int, absorb: BlockHandler) -> Incremental[None]:
    """Dump unix sockets: struct unix_diag_req and unix_diag_msg (include/uapi/linux/unix_diag.h)."""
    if isinstance(diag, TextDiag):
        return diag.unix(absorb)
    body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, states, 0, show, 0, 0)
    return dump(diag, READER, _BY_FAMILY, body, absorb, unix_diag.MESSAGE)


def state_counts(block: bytes, stride: int) -> Counter[tuple[int, int]]:
    """Return how many sockets of a block are in each (family, state); raise ReadError for an invalid pair."""
    pairs = Counter(memoryview(block).cast("H")[FAMILY // 2 :: stride // 2].tolist())
    counts: Counter[tuple[int, int]] = Counter()
    for pair, count in pairs.items():
        family, state = pair.to_bytes(2, sys.byteorder)
        if family not in (socket.AF_INET, socket.AF_INET6) or state not in STATES:
            raise ReadError(READER, f"the kernel sent a socket of family {family} in state {state}")
        counts[family, state] = count
    return counts


def inodes(block: bytes, stride: int) -> list[int]:
    """Return the inode of every socket of a block; 0 if no descriptor refers to it."""
    return memoryview(block).cast("I")[INODE // 4 :: stride // 4].tolist()


def devices(block: bytes, stride: int) -> list[int]:
    """Return for every socket of a block the index of the device that it is bound to; 0 if it is bound to none."""
    return memoryview(block).cast("I")[IF // 4 :: stride // 4].tolist()


def local_ports(block: bytes, stride: int) -> array[int]:
    """Return the local port of every socket of a block."""
    wire = bytearray(2 * (len(block) // stride))
    wire[::2] = block[SPORT::stride]
    wire[1::2] = block[SPORT + 1 :: stride]
    ports = array("H", bytes(wire))
    if sys.byteorder == "little":
        ports.byteswap()
    return ports


def on_ipv6_address(block: bytes, stride: int) -> bytes:
    """Return for every socket of AF_INET6 in a block 1 if it is on an IPv6 address of its own: not on `::`, which
    may serve IPv4 too, nor on a v4-mapped one."""
    words = memoryview(block).cast("I")
    columns = [words[SRC // 4 + word :: stride // 4].tolist() for word in range(4)]
    return bytes(
        bool(first or second or (third != _MAPPED_WORD and (third or fourth)))
        for first, second, third, fourth in zip(*columns, strict=True)
    )


def local_port(message: bytes, at: int = 0) -> int:
    """Return the local port of the socket at offset `at`."""
    return int.from_bytes(message[at + SPORT : at + SPORT + 2], "big")


def cookie(message: bytes) -> int:
    """Return the cookie of a socket, low word first (sock_diag_save_cookie()); 0 if the text of /proc has none."""
    low, high = struct.unpack_from("=II", message, COOKIE)
    found = int(low | high << 32)
    return 0 if found == _NO_COOKIE else found


def unmapped(address: bytes) -> bytes:
    """Return the IPv4 address of a v4-mapped IPv6 address; any other address unchanged."""
    return address[12:] if len(address) == 16 and address.startswith(_MAPPED) else address


def format_address(address: bytes) -> str:
    """Return four or sixteen bytes as an IP address, written as `ss` writes it."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def pool(address: bytes, device: int) -> bytes:
    """Return a name for what shares local ports: an address, and the device if its sockets are bound to one."""
    return address + device.to_bytes(4, sys.byteorder) if device else address


def split_pool(name: bytes) -> tuple[bytes, int]:
    """Return address and device of a name that `pool` has made."""
    size = len(name) // 16 * 16 or 4
    return name[:size], int.from_bytes(name[size:], sys.byteorder)


def addresses(message: bytes, at: int = 0) -> tuple[bytes, bytes]:
    """Return source and destination of the socket at offset `at`: four bytes each for AF_INET, else sixteen."""
    size = 4 if message[at + FAMILY] == socket.AF_INET else 16
    return message[at + SRC : at + SRC + size], message[at + DST : at + DST + size]
