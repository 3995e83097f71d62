"""The sock_diag ABI that all socket dumps share (include/uapi/linux/inet_diag.h): requests, offsets, names.

Messages of one length come as a block: field `at` of every socket is the column `block[at::stride]`. A field of
struct inet_diag_msg stands at its place in the struct plus 16 (struct nlmsghdr); attributes follow at MESSAGE.
"""

from __future__ import annotations

import socket
import struct
import sys
from array import array
from collections import Counter

from sockmon.errors import Unreadable
from sockmon.kernel.netlink import Absorb, Steps, attribute, dump

READER = "sock_diag"

ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT = 1, 2, 3, 4, 5, 6
CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = 7, 8, 9, 10, 11
_NAMES = "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
STATES = dict(enumerate(_NAMES.split(), 1))
"""TCP states by number, the kernel's names (include/net/tcp_states.h)."""
EVERY_STATE = 0xFFF
"""Every state but BOUND_INACTIVE, which walks another table."""
BOUND_INACTIVE = 1 << 13
INFO = 2
"""The extension bit of INET_DIAG_INFO: struct tcp_info."""

FAMILY, STATE, TIMER, SPORT, DPORT, SRC, DST = 16, 17, 18, 20, 22, 24, 40
RQUEUE, WQUEUE, UID, INODE, MESSAGE = 72, 76, 80, 84, 88
TIMER_TIMEWAIT = 3
"""idiag_timer of a minisocket, whatever state it reports."""

_GETSOCK, _BY_FAMILY = 18, 20  # TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY
_ATTR_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE
_MAPPED = bytes(10) + b"\xff\xff"


def tcp(
    diag: socket.socket, states: int, absorb: Absorb, bytecode: bytes = b"", extensions: int = 0, sport: int = 0
) -> Steps[None]:
    """Dump the TCP sockets of both families in one walk, which only the legacy request TCPDIAG_GETSOCK does.

    `states` is a mask of 1 << state; `bytecode` filters in the kernel, `sport` by one local port (0: any)."""
    body = struct.pack("=BBBB", socket.AF_INET, 0, 0, extensions)
    body += struct.pack("!H46x", sport) + struct.pack("=II", states, 0)
    if bytecode:
        body += attribute(_ATTR_BYTECODE, bytecode)
    return dump(diag, READER, _GETSOCK, body, absorb, MESSAGE)


def inet(diag: socket.socket, family: int, protocol: int, absorb: Absorb) -> Steps[None]:
    """Dump all sockets of one family and protocol (UDP, RAW) with struct inet_diag_req_v2."""
    body = struct.pack("=BBBBI48x", family, protocol, 0, 0, 0xFFFFFFFF)
    return dump(diag, READER, _BY_FAMILY, body, absorb, MESSAGE)


def unix(diag: socket.socket, states: int, show: int, absorb: Absorb) -> Steps[None]:
    """Dump unix sockets: struct unix_diag_req and unix_diag_msg (include/uapi/linux/unix_diag.h)."""
    body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, states, 0, show, 0, 0)
    return dump(diag, READER, _BY_FAMILY, body, absorb, 32)


def state_counts(block: bytes, stride: int) -> Counter[tuple[int, int]]:
    """How many sockets of a block are in each (family, state); raises Unreadable for a pair that cannot be."""
    pairs = Counter(memoryview(block).cast("H")[FAMILY // 2 :: stride // 2].tolist())
    counts: Counter[tuple[int, int]] = Counter()
    for pair, count in pairs.items():
        family, state = pair.to_bytes(2, sys.byteorder)
        if family not in (socket.AF_INET, socket.AF_INET6) or state not in STATES:
            raise Unreadable(READER, f"the kernel sent a socket of family {family} in state {state}")
        counts[family, state] = count
    return counts


def inodes(block: bytes, stride: int) -> list[int]:
    """The inode of every socket of a block; 0: no descriptor refers to it."""
    return memoryview(block).cast("I")[INODE // 4 :: stride // 4].tolist()


def local_ports(block: bytes, stride: int) -> array[int]:
    """The local port of every socket of a block."""
    wire = bytearray(2 * (len(block) // stride))
    wire[::2] = block[SPORT::stride]
    wire[1::2] = block[SPORT + 1 :: stride]
    ports = array("H", bytes(wire))
    if sys.byteorder == "little":
        ports.byteswap()
    return ports


def unmapped(address: bytes) -> bytes:
    """A v4-mapped IPv6 address as the IPv4 address that it stands for; any other as it is."""
    return address[12:] if len(address) == 16 and address.startswith(_MAPPED) else address


def text(address: bytes) -> str:
    """Four or sixteen bytes as an IP address, written as `ss` does."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def addresses(message: bytes, at: int = 0) -> tuple[bytes, bytes]:
    """Source and destination of the socket at offset `at`: four bytes each for AF_INET, else sixteen."""
    size = 4 if message[at + FAMILY] == socket.AF_INET else 16
    return message[at + SRC : at + SRC + size], message[at + DST : at + DST + size]
