"""Messages of sock_diag as rows of the list, and a row as the identity that an exact query needs."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from sockmon.kernel.device_names import device_name
from sockmon.kernel.netlink import attributes
from sockmon.kernel.sockets import packet_diag, sock_diag, unix_diag
from sockmon.kernel.sockets.listing.block import (
    RTT,
    TOTAL_RETRANS,
    UNCONNECTED,
    Block,
    state_name,
    tcp_info_field,
)
from sockmon.kernel.sockets.sock_diag import Diag, TextDiag
from sockmon.kernel.sockets.socket_rows import endpoint
from sockmon.model.socket_list import (
    HALF_OPEN,
    KEPT_BY_KERNEL,
    NO_FILE,
    NOT_ACCEPTED,
    ORPHAN,
    PACKET,
    TCP,
    UNIX,
    ListedSocket,
    SocketKey,
)

COOKIE = 60
"""Offset of idiag_cookie, two u32."""
UNIX_COOKIE = 24
_ORPHANED = (sock_diag.FIN_WAIT1, sock_diag.FIN_WAIT2, sock_diag.LAST_ACK, sock_diag.CLOSING)
_KINDS = ("stream", "dgram", "raw", "rdm", "seqpacket")
MEMINFO_FIELDS = (
    *("rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem", "backlog", "drops"),
)
"""The fields of struct sk_meminfo in order: SK_MEMINFO_* of include/uapi/linux/sock_diag.h."""


class Place(NamedTuple):
    """The namespace of the rows."""

    inode: int
    name: str
    container: str
    user: Callable[[int], str]
    diag: Diag
    """The socket of its dumps, which run one after another."""
    exact: Diag
    """The socket of exact queries, which can be asked while a dump runs."""
    raw_text: Callable[[], TextDiag | None] = lambda: None
    """Returns what replaces the dump of raw sockets: raw_diag is often left out of a kernel."""


def cookie(message: bytes, at: int) -> int:
    """Return the cookie: low word first, as sock_diag_save_cookie() writes it."""
    low, high = struct.unpack_from("=II", message, at)
    return int(low | high << 32)


def inet_row(protocol: str, message: bytes, place: Place) -> ListedSocket:
    """Return the row of a TCP, UDP or raw socket."""
    source, destination = sock_diag.addresses(message)
    sport, dport = struct.unpack_from("!HH", message, sock_diag.SPORT)
    received, sent, uid, inode = sock_diag.QUEUES.unpack_from(message, sock_diag.RQUEUE)
    state = message[sock_diag.STATE]
    rtt = tcp_info_field(message, RTT)
    key = SocketKey(
        netns=place.inode,
        protocol=protocol,
        family=message[sock_diag.FAMILY],
        cookie=cookie(message, COOKIE),
        inode=inode,
        source=sock_diag.format_address(source),
        source_port=sport,
        destination=sock_diag.format_address(destination),
        destination_port=dport,
        device=struct.unpack_from("=I", message, sock_diag.IF)[0],
    )
    return ListedSocket(
        key=key,
        state=state_name(protocol, state),
        local=endpoint(sock_diag.unmapped(source), sport),
        remote=endpoint(sock_diag.unmapped(destination), dport),
        recv_queue=received,
        send_queue=None if sent == sock_diag.UNKNOWN else sent,
        uid=uid if inode else None,
        user=place.user(uid) if inode else "",
        no_owner=_no_owner(protocol, message) if not inode else "",
        rtt=rtt / 1000 if rtt else None,
        retransmits=tcp_info_field(message, TOTAL_RETRANS),
        sent_ago=_age(protocol, message, sent=True),
        received_ago=_age(protocol, message, sent=False),
        netns=place.name,
        container=place.container,
    )


def _age(protocol: str, message: bytes, sent: bool) -> float | None:
    (milliseconds,) = Block(protocol, message, len(message)).ages(sent)
    return None if milliseconds is None else milliseconds / 1000


def _no_owner(protocol: str, message: bytes) -> str:
    """Return why no descriptor refers to a socket."""
    state = message[sock_diag.STATE]
    if protocol != TCP:
        return NO_FILE
    if state == sock_diag.TIME_WAIT or message[sock_diag.TIMER] == sock_diag.TIMER_TIMEWAIT:
        return KEPT_BY_KERNEL
    if state == sock_diag.SYN_RECV:
        return HALF_OPEN
    return ORPHAN if state in _ORPHANED else NOT_ACCEPTED


def unix_row(message: bytes, place: Place, names: dict[int, str]) -> ListedSocket:
    """Return the row of a unix socket; `names` has the names of its possible peers by inode."""
    found = attributes(message, unix_diag.MESSAGE, sock_diag.READER)
    received, sent = unix_diag.numbers(found.get(unix_diag.RQLEN, b""), 2) or (None, None)
    uid = next(iter(unix_diag.numbers(found.get(unix_diag.UID, b""), 1)), None)
    peer = next(iter(unix_diag.numbers(found.get(unix_diag.PEER, b""), 1)), 0)
    inode, state = unix_diag.inode(message), message[unix_diag.STATE]
    return ListedSocket(
        key=SocketKey(place.inode, UNIX, int(socket.AF_UNIX), cookie(message, UNIX_COOKIE), inode),
        state=state_name(UNIX, state),
        local=unix_diag.format_name(found.get(unix_diag.NAME, b"")),
        remote=names.get(peer) or f"socket:[{peer}]" if peer else "",
        recv_queue=received,
        send_queue=sent,
        uid=uid,
        user=place.user(uid) if uid is not None else "",
        no_owner="" if inode else NOT_ACCEPTED,
        peer=peer,
        netns=place.name,
        container=place.container,
    )


def packet_row(message: bytes, place: Place) -> ListedSocket:
    """Return the row of a packet socket: `ip:eth0`, as ss writes it."""
    found = attributes(message, packet_diag.MESSAGE, packet_diag.READER)
    uid = next(iter(unix_diag.numbers(found.get(packet_diag.UID, b""), 1)), None)
    index, protocol = packet_diag.device(found.get(packet_diag.INFO, b"")), packet_diag.protocol(message)
    device = device_name(place.diag, index) if index and not isinstance(place.diag, TextDiag) else "*"
    memory = memory_fields(found.get(packet_diag.MEMINFO, b""))
    inode = int(struct.unpack_from("=I", message, packet_diag.INODE)[0])
    return ListedSocket(
        key=SocketKey(
            place.inode,
            PACKET,
            int(socket.AF_PACKET),
            cookie(message, packet_diag.COOKIE),
            inode,
            source_port=protocol,
            device=index,
        ),
        state=UNCONNECTED,
        local=f"{packet_diag.protocol_name(protocol)}:{device}",
        remote="",
        recv_queue=memory.get("rmem_alloc"),
        send_queue=memory.get("wmem_alloc"),
        uid=uid,
        user=place.user(uid) if uid is not None else "",
        no_owner="" if inode else NO_FILE,
        netns=place.name,
        container=place.container,
    )


def memory_fields(payload: bytes) -> dict[str, int]:
    """Return the fields of struct sk_meminfo that the kernel sent, which only grows at its end."""
    numbers = struct.unpack_from(f"={len(payload) // 4}I", payload)
    return dict(zip(MEMINFO_FIELDS, numbers, strict=False))


def socket_kind(number: int) -> str:
    """Return the name of SOCK_STREAM and the like."""
    return _KINDS[number - 1] if 1 <= number <= len(_KINDS) else f"type {number}"
