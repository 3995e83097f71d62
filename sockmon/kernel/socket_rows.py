"""Single sockets, for one process, one group of ports or one listener: fetched on demand, never all."""

from __future__ import annotations

import socket
import struct
from array import array
from collections import Counter
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress

from sockmon.errors import Absent, Unreadable
from sockmon.kernel import listeners as unix_diag
from sockmon.kernel import sock_diag
from sockmon.kernel.bytecode import between, local_address
from sockmon.kernel.netlink import Absorb, Steps, attributes
from sockmon.kernel.sock_diag import LISTEN, READER, STATES
from sockmon.model.detail import Socket

INODES = 65_536
"""Inodes that Rows keeps at most."""
_ANY_STATE = 0xFFFFFFFF
_NOT_LISTEN = sock_diag.EVERY_STATE & ~(1 << LISTEN)
_V4, _V6 = int(socket.AF_INET), int(socket.AF_INET6)
_ATTR_INFO = 2  # INET_DIAG_INFO
_TCPI_RTT, _TCPI_TOTAL_RETRANS = 68, 100  # struct tcp_info, include/uapi/linux/tcp.h
_TAIL = struct.Struct("=IIII")  # rqueue, wqueue, uid, inode


@dataclass
class Rows:
    """Some of the sockets that were asked for, and the sums over all of them."""

    limit: int
    sockets: list[Socket] = field(default_factory=list)
    """At most `limit`."""
    total: int = 0
    states: dict[str, int] = field(default_factory=dict)
    inodes: array[int] = field(default_factory=lambda: array("Q"))
    """Those that a process holds, at most INODES."""
    remotes: Counter[str] = field(default_factory=Counter)
    """Sockets by remote address."""

    def add(self, protocol: str, block: bytes, stride: int) -> None:
        """Count the inet sockets of a block, and make rows of the first ones."""
        count = len(block) // stride
        for state, sockets in Counter(block[sock_diag.STATE :: stride]).items():
            self._count(_state_name(state), sockets)
        self.inodes.extend(
            [inode for inode in sock_diag.inodes(block, stride) if inode][: INODES - len(self.inodes)]
        )
        for address, sockets in Counter(
            sock_diag.addresses(block, at)[1] for at in range(0, len(block), stride)
        ).items():
            self.remotes[sock_diag.text(sock_diag.unmapped(address))] += sockets
        for at in range(0, min(count, self.limit - len(self.sockets)) * stride, stride):
            self.sockets.append(_row(protocol, block[at : at + stride]))

    def add_unix(self, row: Socket) -> None:
        """Count one unix socket."""
        self._count(row.state, 1)
        self.inodes.append(row.inode)
        if len(self.sockets) < self.limit:
            self.sockets.append(row)

    def _count(self, state: str, sockets: int) -> None:
        self.total += sockets
        self.states[state] = self.states.get(state, 0) + sockets


def group_sockets(diag: socket.socket, source: str, destination: str, port: int, limit: int) -> Steps[Rows]:
    """The TCP sockets from `source` to `destination` and `port`, v4-mapped ones too; raises Unreadable."""
    rows = Rows(limit)
    bytecode = between(_packed(source), _packed(destination), port)
    yield from sock_diag.tcp(diag, _NOT_LISTEN, _into(rows, "tcp"), bytecode, sock_diag.INFO)
    return rows


def port_sockets(diag: socket.socket, address: str, port: int, limit: int) -> Steps[Rows]:
    """The TCP connections of a listener on `address` (`0.0.0.0`, `::`: any) and `port`; raises Unreadable."""
    rows = Rows(limit)
    bytecode = b"" if address == "::" else local_address(_packed(address))
    yield from sock_diag.tcp(diag, _NOT_LISTEN, _into(rows, "tcp"), bytecode, sock_diag.INFO, port)
    return rows


def sockets_by_inode(diag: socket.socket, inodes: AbstractSet[int], limit: int) -> Steps[Rows]:
    """The TCP, UDP, raw and unix sockets that have one of `inodes`; raises Unreadable where TCP cannot be read.

    The other kinds are left out where this kernel cannot dump them."""
    rows = Rows(limit)
    yield from sock_diag.tcp(diag, sock_diag.EVERY_STATE, _into(rows, "tcp", inodes), b"", sock_diag.INFO)
    for name, protocol in ("udp", socket.IPPROTO_UDP), ("raw", socket.IPPROTO_RAW):
        for family in _V4, _V6:
            yield from _where_there_is(sock_diag.inet(diag, family, protocol, _into(rows, name, inodes)))
    show = unix_diag.SHOW_NAME | unix_diag.SHOW_PEER | unix_diag.SHOW_RQLEN | unix_diag.SHOW_UID
    yield from _where_there_is(sock_diag.unix(diag, _ANY_STATE, show, _into_unix(rows, inodes)))
    return rows


def _where_there_is(steps: Steps[None]) -> Steps[None]:
    """A module that is not loaded (raw_diag, udp_diag, unix_diag), no IPv6: no such sockets."""
    with suppress(Absent):
        yield from steps


def _into(rows: Rows, protocol: str, wanted: AbstractSet[int] | None = None) -> Absorb:
    def absorb(block: bytes, stride: int) -> None:
        if wanted is not None:
            kept = map(wanted.__contains__, sock_diag.inodes(block, stride))
            block = b"".join(block[at : at + stride] for at in compress(range(0, len(block), stride), kept))
        rows.add(protocol, block, stride)

    return absorb


def _into_unix(rows: Rows, wanted: AbstractSet[int]) -> Absorb:
    def absorb(block: bytes, stride: int) -> None:
        column = memoryview(block).cast("I")[20 // 4 :: stride // 4].tolist()
        for at in compress(range(0, len(block), stride), map(wanted.__contains__, column)):
            rows.add_unix(_unix_row(block[at : at + stride]))

    return absorb


def _row(protocol: str, message: bytes) -> Socket:
    source, destination = sock_diag.addresses(message)
    sport, dport = struct.unpack_from("!HH", message, sock_diag.SPORT)
    queue, send_queue, uid, inode = _TAIL.unpack_from(message, sock_diag.RQUEUE)
    info = attributes(message, sock_diag.MESSAGE, READER).get(_ATTR_INFO, b"")
    rtt, retransmits = _info(info, _TCPI_RTT), _info(info, _TCPI_TOTAL_RETRANS)
    return Socket(
        protocol=protocol,
        state=_state_name(message[sock_diag.STATE]),
        local=_endpoint(source, sport),
        remote=_endpoint(destination, dport),
        recv_queue=queue,
        send_queue=send_queue,
        rtt=rtt / 1000 if rtt else None,
        retransmits=retransmits,
        uid=uid,
        inode=inode,
    )


def _unix_row(message: bytes) -> Socket:
    found = attributes(message, unix_diag.UNIX_MESSAGE, READER)
    queue, send_queue = unix_diag.numbers(found.get(unix_diag.RQLEN, b""), 2) or (0, 0)
    uid = unix_diag.numbers(found.get(unix_diag.UID, b""), 1) or (-1,)
    peer = unix_diag.numbers(found.get(unix_diag.PEER, b""), 1)
    return Socket(
        protocol="unix",
        state=_state_name(message[18]),
        local=unix_diag.unix_name(found.get(unix_diag.NAME, b"")),
        remote=f"socket:[{peer[0]}]" if peer else "",
        recv_queue=queue,
        send_queue=send_queue,
        rtt=None,
        retransmits=None,
        uid=uid[0],
        inode=int(struct.unpack_from("=I", message, 20)[0]),
    )


def _info(info: bytes, at: int) -> int | None:
    """A u32 of struct tcp_info, None where this kernel's is too short; it grows only at its end."""
    return int(struct.unpack_from("=I", info, at)[0]) if len(info) >= at + 4 else None


def _endpoint(address: bytes, port: int) -> str:
    return f"{sock_diag.text(address)}:{port}" if len(address) == 4 else f"[{sock_diag.text(address)}]:{port}"


def _state_name(state: int) -> str:
    try:
        return STATES[state]
    except KeyError:
        raise Unreadable(READER, f"the kernel sent a socket in state {state}") from None


def _packed(address: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:
        raise Unreadable(READER, f"not an IP address: {address[:60]!r}") from None
