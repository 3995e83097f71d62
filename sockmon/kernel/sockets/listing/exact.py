"""One socket by its addresses and cookie: the kernel looks it up in its hash, whatever the number of sockets."""

from __future__ import annotations

import socket
import struct

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.netlink import BlockHandler, Incremental, request_one
from sockmon.kernel.sockets import packet_diag, sock_diag, unix_diag
from sockmon.kernel.sockets.listing.block import RTT, tcp_info_field
from sockmon.kernel.sockets.listing.entries import COOKIE, Place, cookie
from sockmon.kernel.sockets.listing.values import packed
from sockmon.kernel.sockets.listing.walk import InetMessage, dump_inet
from sockmon.kernel.sockets.sock_diag import TextDiag
from sockmon.model.socket_list import PACKET, TCP, UDP, UNIX, SocketKey

EVERY_EXTENSION = 0xFF
"""All attributes that can be asked for by bit, and those that come with them."""
NO_COOKIE = b"\xff" * 8
"""INET_DIAG_NOCOOKIE: any socket with these addresses."""
UNIX_SHOW = unix_diag.SHOW_NAME | unix_diag.SHOW_PEER | unix_diag.SHOW_RQLEN | unix_diag.SHOW_UID | 1 << 5
"""With UDIAG_SHOW_MEMINFO."""
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_PROTOCOLS = {TCP: socket.IPPROTO_TCP, UDP: socket.IPPROTO_UDP}
_WITHOUT_INFO = (sock_diag.LISTEN, sock_diag.TIME_WAIT, sock_diag.SYN_RECV)


def with_info(row: InetMessage, known: dict[bytes, bytes]) -> bytes:
    """Return the message of a TCP socket with struct tcp_info, which a dump of all sockets is not asked for; that
    of the dump if the socket is gone. `known` are the answers of earlier calls, and gets new ones."""
    message, diag = row.message, row.place.exact
    if (
        diag is row.place.diag
        or isinstance(diag, TextDiag)
        or row.protocol != TCP
        or message[sock_diag.STATE] in _WITHOUT_INFO
    ):
        return message
    if message[sock_diag.TIMER] == sock_diag.TIMER_TIMEWAIT or tcp_info_field(message, RTT) is not None:
        return message
    identity = message[sock_diag.SPORT : sock_diag.EXPIRES]
    if identity not in known:
        try:
            known[identity] = sock_diag.one_tcp(diag, message, sock_diag.INFO) or message
        except ReadError:
            known[identity] = message
    return known[identity]


def find(place: Place, key: SocketKey) -> Incremental[bytes | None]:
    """Return the message of a socket with all its attributes; None if it is closed; raise ReadError.

    The kernel is asked for exactly this one; where it looks up another one (several listeners share a port) or
    none, all that can be it are dumped."""
    diag = place.exact
    if isinstance(diag, TextDiag):
        raise ReadError("socket", "netlink is refused, and the text of /proc/net has no details of a socket")
    if key.protocol == UNIX:
        return find_unix(diag, key.inode, key.cookie)
    if key.protocol in (TCP, UDP) and key.cookie:
        found = look_up(diag, key.protocol, _identity(key), key.family)
        if found is not None:
            return found
    return (yield from _scan(place, key))


def look_up(diag: socket.socket, protocol: str, identity: bytes, family: int) -> bytes | None:
    """Return the socket that the kernel finds for a struct inet_diag_sockid; None if it finds none, or another one
    than the cookie says."""
    body = struct.pack("=BBBBI", family, _PROTOCOLS[protocol], EVERY_EXTENSION, 0, sock_diag.EVERY_STATE)
    try:
        return request_one(diag, sock_diag.READER, _BY_FAMILY, body + identity)
    except NotPresent:
        return None
    except ReadError:
        # ESTALE: another socket is there.
        return None


def cookie_bytes(number: int) -> bytes:
    """Return a cookie as the kernel compares it; 0 stands for any."""
    return struct.pack("=II", number & 0xFFFFFFFF, number >> 32) if number else NO_COOKIE


def _identity(key: SocketKey) -> bytes:
    """Return struct inet_diag_sockid."""
    ends = (packed(key.source).ljust(16, b"\0"), packed(key.destination).ljust(16, b"\0"))
    ports = struct.pack("!HH", key.source_port, key.destination_port)
    return ports + b"".join(ends) + struct.pack("=I", key.device) + cookie_bytes(key.cookie)


def peer_identity(key: SocketKey) -> tuple[int, bytes]:
    """Return family and struct inet_diag_sockid of the other end; the kernel keeps v4-mapped ones with IPv4."""
    source, destination = (sock_diag.unmapped(packed(each)) for each in (key.destination, key.source))
    family = socket.AF_INET if len(source) == 4 else socket.AF_INET6
    ports = struct.pack("!HH", key.destination_port, key.source_port)
    ends = source.ljust(16, b"\0") + destination.ljust(16, b"\0")
    return int(family), ports + ends + struct.pack("=I", 0) + NO_COOKIE


def are_ends_of_one(message: bytes, key: SocketKey) -> bool:
    """Return whether a message has the addresses and ports of `key` the other way round; the lookup of the kernel
    also finds a listener."""
    source, destination = map(sock_diag.unmapped, sock_diag.addresses(message))
    ports = struct.unpack_from("!HH", message, sock_diag.SPORT)
    wanted = tuple(sock_diag.unmapped(packed(each)) for each in (key.destination, key.source))
    return (source, destination) == wanted and ports == (key.destination_port, key.source_port)


def _scan(place: Place, key: SocketKey) -> Incremental[bytes | None]:
    found: list[bytes] = []
    if key.protocol == TCP:
        every = EVERY_EXTENSION
        absorb = _same_socket(found, key, COOKIE, sock_diag.INODE)
        yield from sock_diag.tcp(place.diag, sock_diag.EVERY_STATE, absorb, b"", every, key.source_port)
    elif key.protocol != PACKET:
        absorb = _same_socket(found, key, COOKIE, sock_diag.INODE)
        yield from dump_inet(place, key.protocol, key.family, absorb, EVERY_EXTENSION)
    elif not isinstance(place.diag, TextDiag):
        absorb = _same_socket(found, key, packet_diag.COOKIE, packet_diag.INODE)
        yield from packet_diag.dump_packet(place.diag, absorb)
    return found[0] if found else None


def _same_socket(found: list[bytes], key: SocketKey, cookie_at: int, inode_at: int) -> BlockHandler:
    """Return a handler that appends the socket of `key` to `found`: by its inode if its cookie is not known."""

    def is_it(block: bytes, at: int) -> bool:
        if key.cookie:
            return cookie(block, at + cookie_at) == key.cookie
        return bool(key.inode) and struct.unpack_from("=I", block, at + inode_at)[0] == key.inode

    def absorb(block: bytes, stride: int) -> None:
        found.extend(block[at : at + stride] for at in range(0, len(block), stride) if is_it(block, at))

    return absorb


def find_unix(diag: socket.socket, inode: int, cookie_: int = 0) -> bytes | None:
    """Return a unix socket by its inode; None if it is closed; raise ReadError."""
    ask = struct.pack("=BBHIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, inode, UNIX_SHOW) + cookie_bytes(cookie_)
    try:
        return request_one(diag, sock_diag.READER, _BY_FAMILY, ask)
    except NotPresent:
        return None
