"""All that an exact query returns about one socket (include/uapi/linux/inet_diag.h, unix_diag.h)."""

from __future__ import annotations

import struct
import sys

from sockmon.kernel.device_names import device_name
from sockmon.kernel.netlink import attributes
from sockmon.kernel.sockets import packet_diag, sock_diag, tcp_info, unix_diag
from sockmon.kernel.sockets.listing.entries import Place, memory_fields, socket_kind
from sockmon.kernel.sockets.sock_diag import TextDiag
from sockmon.model.socket_detail import SocketFacts
from sockmon.text import sanitize

_CONGESTION, _TOS, _MEMORY, _SHUTDOWN, _V6ONLY, _MARK, _CLASS, _ULP, _CGROUP, _OPTIONS = (
    4, 5, 7, 8, 11, 15, 17, 19, 21, 22,
)  # fmt: skip
_ULP_NAME = 1
_UNIX_MEMORY, _UNIX_SHUTDOWN = 5, 6
_RETRANSMITS = 19  # idiag_retrans
_OPTION_NAMES = (
    *("IP_RECVERR", "", "IP_FREEBIND", "IP_HDRINCL", "", "IP_TRANSPARENT", "", "IP_NODEFRAG"),
    *("IP_BIND_ADDRESS_NO_PORT", "IP_RECVERR_RFC4884", "TCP_FASTOPEN_CONNECT"),
)
"""Bits of struct inet_diag_sockopt in order; left empty: what is set by default, or no option."""


def inet_facts(message: bytes, place: Place) -> SocketFacts:
    """Return the facts of a TCP, UDP or raw socket."""
    found = attributes(message, sock_diag.MESSAGE, sock_diag.READER)
    timer = message[sock_diag.TIMER]
    index = _number(message[sock_diag.IF : sock_diag.IF + 4]) or 0
    return SocketFacts(
        info=tcp_info.parse(found.get(sock_diag.INFO, b"")),
        memory=memory_fields(found.get(_MEMORY, b"")),
        congestion=_text(found.get(_CONGESTION, b"")),
        timer=timer,
        timer_expires=struct.unpack_from("=I", message, sock_diag.EXPIRES)[0] / 1000 if timer else None,
        timer_retransmits=message[_RETRANSMITS] if timer else None,
        mark=_number(found.get(_MARK)),
        class_id=_number(found.get(_CLASS)),
        tos=_number(found.get(_TOS)),
        shutdown=_number(found.get(_SHUTDOWN)),
        options=_option_names(found.get(_OPTIONS, b"")),
        ulp=_text(attributes(found[_ULP], 0, sock_diag.READER).get(_ULP_NAME, b"")) if _ULP in found else "",
        v6only=bool(_number(found[_V6ONLY])) if _V6ONLY in found else None,
        cgroup_id=_number(found.get(_CGROUP)),
        device=_device(index, place),
    )


def unix_facts(message: bytes) -> SocketFacts:
    """Return the facts of a unix socket."""
    found = attributes(message, unix_diag.MESSAGE, sock_diag.READER)
    return SocketFacts(
        memory=memory_fields(found.get(_UNIX_MEMORY, b"")),
        shutdown=_number(found.get(_UNIX_SHUTDOWN)),
        kind=socket_kind(message[unix_diag.TYPE]),
    )


def packet_facts(message: bytes, place: Place) -> SocketFacts:
    """Return the facts of a packet socket."""
    found = attributes(message, packet_diag.MESSAGE, packet_diag.READER)
    return SocketFacts(
        memory=memory_fields(found.get(packet_diag.MEMINFO, b"")),
        kind=socket_kind(message[packet_diag.TYPE]),
        device=_device(packet_diag.device(found.get(packet_diag.INFO, b"")), place),
    )


def _device(index: int, place: Place) -> str:
    return device_name(place.exact, index) if index and not isinstance(place.exact, TextDiag) else ""


def _number(payload: bytes | None) -> int | None:
    return int.from_bytes(payload, sys.byteorder) if payload else None


def _text(payload: bytes) -> str:
    return sanitize(payload.partition(b"\0")[0].decode("utf-8", "replace"))


def _option_names(payload: bytes) -> tuple[str, ...]:
    bits = int.from_bytes(payload[:2], "little")
    return tuple(name for number, name in enumerate(_OPTION_NAMES) if name and bits >> number & 1)
