"""Single sockets of one process, one group of ports or one listener: read on demand, never all of them."""

from __future__ import annotations

import socket
import struct
from array import array
from collections import Counter
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.device_names import device_index
from sockmon.kernel.netlink import BlockHandler, Incremental, attributes
from sockmon.kernel.sockets import sock_diag, unix_diag
from sockmon.kernel.sockets.diag_filter import connection_filter, local_address_filter
from sockmon.kernel.sockets.sock_diag import LISTEN, READER, STATES, Diag
from sockmon.model.detail import Socket

_ANY_STATE = 0xFFFFFFFF
_NOT_LISTEN = sock_diag.EVERY_STATE & ~(1 << LISTEN)
_V4, _V6 = int(socket.AF_INET), int(socket.AF_INET6)
_ATTR_INFO = 2  # INET_DIAG_INFO
_TCPI_RTT, _TCPI_TOTAL_RETRANS = 68, 100  # struct tcp_info, include/uapi/linux/tcp.h


@dataclass
class SocketRows:
    """Some of the sockets that were asked for, and the sums over all of them."""

    limit: int
    sockets: list[Socket] = field(default_factory=list)
    """At most `limit`."""
    total: int = 0
    states: dict[str, int] = field(default_factory=dict)
    inodes: array[int] = field(default_factory=lambda: array("Q"))
    """Inodes of those that a process holds, at most sock_diag.MAX_INODES."""
    remotes: Counter[str] = field(default_factory=Counter)
    """Sockets by remote address."""
    recv_queue: int = 0
    """Bytes that wait to be read in all of them, and `send_queue` that wait to be acknowledged or sent; without
    listeners."""
    send_queue: int = 0

    def add(self, protocol: str, block: bytes, stride: int) -> None:
        """Count the inet sockets of a block, and make rows of the first ones."""
        count = len(block) // stride
        for state, sockets in Counter(block[sock_diag.STATE :: stride]).items():
            self._count(_state_name(state), sockets)
        self._add_queues(block, stride)
        room = sock_diag.MAX_INODES - len(self.inodes)
        self.inodes.extend([inode for inode in sock_diag.inodes(block, stride) if inode][:room])
        for address, sockets in Counter(
            sock_diag.addresses(block, at)[1] for at in range(0, len(block), stride)
        ).items():
            self.remotes[sock_diag.format_address(sock_diag.unmapped(address))] += sockets
        for at in range(0, min(count, self.limit - len(self.sockets)) * stride, stride):
            self.sockets.append(_row(protocol, block[at : at + stride]))

    def _add_queues(self, block: bytes, stride: int) -> None:
        connected = [state != LISTEN for state in block[sock_diag.STATE :: stride]]
        words = memoryview(block).cast("I")
        received, sent = (words[at // 4 :: stride // 4].tolist() for at in (sock_diag.RQUEUE, sock_diag.WQUEUE))
        self.recv_queue += sum(compress(received, connected))
        self.send_queue += sum(compress(sent, connected))

    def add_unix(self, row: Socket) -> None:
        """Count one unix socket."""
        self._count(row.state, 1)
        self.inodes.append(row.inode)
        if len(self.sockets) < self.limit:
            self.sockets.append(row)

    def _count(self, state: str, sockets: int) -> None:
        self.total += sockets
        self.states[state] = self.states.get(state, 0) + sockets


def group_sockets(
    diag: Diag, source: str, destination: str, port: int, limit: int, device: str = ""
) -> Incremental[SocketRows]:
    """Return the TCP sockets from `source` to `destination` and `port`, including v4-mapped ones, that are bound
    to `device` (empty: to none); raise ReadError."""
    rows = SocketRows(limit)
    index = device_index(diag, device) if device and isinstance(diag, socket.socket) else 0
    bytecode = connection_filter(_packed(source), _packed(destination), port, index)
    yield from sock_diag.tcp(diag, _NOT_LISTEN, _collector(rows, "tcp"), bytecode, sock_diag.INFO)
    return rows


def port_sockets(diag: Diag, address: str, port: int, limit: int) -> Incremental[SocketRows]:
    """Return the TCP connections of a listener on `address` (`0.0.0.0`, `::`: any) and `port`; raise ReadError."""
    rows = SocketRows(limit)
    bytecode = b"" if address == "::" else local_address_filter(_packed(address))
    yield from sock_diag.tcp(diag, _NOT_LISTEN, _collector(rows, "tcp"), bytecode, sock_diag.INFO, port)
    return rows


def sockets_by_inode(diag: Diag, inodes: AbstractSet[int], limit: int) -> Incremental[SocketRows]:
    """Return the TCP, UDP, raw and unix sockets that have one of `inodes`, without what INFO adds, which costs a
    fourth more; raise ReadError if TCP cannot be read.

    Other kinds are left out if this kernel cannot dump them."""
    rows = SocketRows(limit)
    yield from add_sockets_by_inode(diag, inodes, rows, extensions=0)
    return rows


def add_sockets_by_inode(
    diag: Diag, inodes: AbstractSet[int], rows: SocketRows, extensions: int = sock_diag.INFO
) -> Incremental[None]:
    """Add the same to `rows`, with the `extensions` of TCP."""
    yield from sock_diag.tcp(diag, sock_diag.EVERY_STATE, _collector(rows, "tcp", inodes), b"", extensions)
    for name, protocol in ("udp", socket.IPPROTO_UDP), ("raw", socket.IPPROTO_RAW):
        for family in _V4, _V6:
            yield from _skip_if_absent(sock_diag.inet(diag, family, protocol, _collector(rows, name, inodes)))
    show = unix_diag.SHOW_NAME | unix_diag.SHOW_PEER | unix_diag.SHOW_RQLEN | unix_diag.SHOW_UID
    yield from _skip_if_absent(sock_diag.unix(diag, _ANY_STATE, show, _unix_collector(rows, inodes)))


def _skip_if_absent(steps: Incremental[None]) -> Incremental[None]:
    """Run `steps`; without the module (raw_diag, udp_diag, unix_diag) or without IPv6 there are no such
    sockets."""
    with suppress(NotPresent):
        yield from steps


def _collector(rows: SocketRows, protocol: str, wanted: AbstractSet[int] | None = None) -> BlockHandler:
    def absorb(block: bytes, stride: int) -> None:
        if wanted is not None:
            kept = map(wanted.__contains__, sock_diag.inodes(block, stride))
            block = b"".join(block[at : at + stride] for at in compress(range(0, len(block), stride), kept))
        rows.add(protocol, block, stride)

    return absorb


def _unix_collector(rows: SocketRows, wanted: AbstractSet[int]) -> BlockHandler:
    def absorb(block: bytes, stride: int) -> None:
        column = memoryview(block).cast("I")[unix_diag.INODE // 4 :: stride // 4].tolist()
        for at in compress(range(0, len(block), stride), map(wanted.__contains__, column)):
            rows.add_unix(_unix_row(block[at : at + stride]))

    return absorb


def _row(protocol: str, message: bytes) -> Socket:
    source, destination = sock_diag.addresses(message)
    sport, dport = struct.unpack_from("!HH", message, sock_diag.SPORT)
    queue, send_queue, uid, inode = sock_diag.QUEUES.unpack_from(message, sock_diag.RQUEUE)
    info = attributes(message, sock_diag.MESSAGE, READER).get(_ATTR_INFO, b"")
    rtt, retransmits = _info(info, _TCPI_RTT), _info(info, _TCPI_TOTAL_RETRANS)
    return Socket(
        protocol=protocol,
        state=_state_name(message[sock_diag.STATE]),
        local=endpoint(source, sport),
        remote=endpoint(destination, dport),
        recv_queue=queue,
        send_queue=send_queue,
        rtt=rtt / 1000 if rtt else None,
        retransmits=retransmits,
        uid=uid,
        inode=inode,
        cookie=sock_diag.cookie(message),
        device=int(struct.unpack_from("=I", message, sock_diag.IF)[0]),
    )


def _unix_row(message: bytes) -> Socket:
    found = attributes(message, unix_diag.MESSAGE, READER)
    queue, send_queue = unix_diag.numbers(found.get(unix_diag.RQLEN, b""), 2) or (0, 0)
    uid = unix_diag.numbers(found.get(unix_diag.UID, b""), 1) or (-1,)
    peer = unix_diag.numbers(found.get(unix_diag.PEER, b""), 1)
    return Socket(
        protocol="unix",
        state=_state_name(message[unix_diag.STATE]),
        local=unix_diag.format_name(found.get(unix_diag.NAME, b"")),
        remote=f"socket:[{peer[0]}]" if peer else "",
        recv_queue=queue,
        send_queue=send_queue,
        rtt=None,
        retransmits=None,
        uid=uid[0],
        inode=unix_diag.inode(message),
    )


def _info(info: bytes, at: int) -> int | None:
    """Return a u32 of struct tcp_info; None if this kernel's struct is too short, which only grows at its end."""
    return int(struct.unpack_from("=I", info, at)[0]) if len(info) >= at + 4 else None


def endpoint(address: bytes, port: int) -> str:
    """Return address and port as `ss` writes them."""
    return (
        f"{sock_diag.format_address(address)}:{port}"
        if len(address) == 4
        else f"[{sock_diag.format_address(address)}]:{port}"
    )


def _state_name(state: int) -> str:
    try:
        return STATES[state]
    except KeyError:
        raise ReadError(READER, f"the kernel sent a socket in state {state}") from None


def _packed(address: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:
        raise ReadError(READER, f"not an IP address: {address[:60]!r}") from None
