"""The addresses of one network namespace, and whether a destination can be reached from one of them: rtnetlink
(include/uapi/linux/if_addr.h, rtnetlink.h). It needs no privilege."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.netlink import Incremental, attribute, attributes, dump, request_one
from sockmon.text import sanitize

READER = "addresses"
MAX_ADDRESSES = 10_000
_GET_LINK, _GET_ADDRESS, _GET_ROUTE = 18, 22, 26
_LINK_MESSAGE, _ADDRESS_MESSAGE, _ROUTE_MESSAGE = 32, 24, 28
"""struct nlmsghdr and struct ifinfomsg, ifaddrmsg, rtmsg: where the attributes start."""
_ADDRESS, _LOCAL, _FLAGS = 1, 2, 8
_NAME, _EXT_MASK, _SKIP_STATS = 3, 29, 8
_DESTINATION, _SOURCE, _OUT_DEVICE, _TYPE_AT = 1, 2, 4, 23
_UNUSABLE = 0x08 | 0x20 | 0x40  # IFA_F_DADFAILED, _DEPRECATED, _TENTATIVE
_OPTIMISTIC = 0x04  # IFA_F_OPTIMISTIC: tentative, and yet usable
_UNICAST, _LOCAL_ROUTE = 1, 2


class LocalAddress(NamedTuple):
    """One address of the namespace."""

    device: int
    """Index of its link."""
    address: bytes
    """Four or sixteen bytes, network order."""
    prefix: int
    scope: int
    """0 global, 200 site, 253 link, 254 host."""
    flags: int
    """IFA_F_*."""

    @property
    def usable(self) -> bool:
        """Return whether new connections may use it: it is neither deprecated nor tentative."""
        return not self.flags & _UNUSABLE or bool(self.flags & _OPTIMISTIC and not self.flags & 0x28)


def read_addresses(route: socket.socket) -> Incremental[list[LocalAddress]]:
    """Return the addresses of IPv4 and IPv6, at most MAX_ADDRESSES; raise ReadError."""
    found: list[LocalAddress] = []

    def absorb(block: bytes, stride: int) -> None:
        for at in range(0, len(block), stride):
            row = _address(block[at : at + stride]) if len(found) < MAX_ADDRESSES else None
            if row is not None:
                found.append(row)

    yield from dump(route, READER, _GET_ADDRESS, struct.pack("=BBBBI", 0, 0, 0, 0, 0), absorb, _ADDRESS_MESSAGE)
    return found


def _address(message: bytes) -> LocalAddress | None:
    family, prefix, flags, scope, index = struct.unpack_from("=BBBBI", message, 16)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    slots = attributes(message, _ADDRESS_MESSAGE, READER)
    # IFA_ADDRESS is the peer on a point-to-point link, IFA_LOCAL then ours.
    address = slots.get(_LOCAL) or slots.get(_ADDRESS)
    if address is None or len(address) not in (4, 16):
        raise ReadError(READER, "the kernel sent an address without its bytes")
    if len(slots.get(_FLAGS, b"")) == 4:
        (flags,) = struct.unpack("=I", slots[_FLAGS])
    return LocalAddress(index, address, prefix, scope, flags)


def read_device_names(route: socket.socket) -> Incremental[dict[int, str]]:
    """Return the names of the links by index; raise ReadError."""
    found: dict[int, str] = {}

    def absorb(block: bytes, stride: int) -> None:
        for at in range(0, len(block), stride):
            message = block[at : at + stride]
            name = attributes(message, _LINK_MESSAGE, READER).get(_NAME, b"").rstrip(b"\0")
            found[struct.unpack_from("=i", message, 20)[0]] = sanitize(name)

    brief = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(_EXT_MASK, struct.pack("=I", _SKIP_STATS))
    yield from dump(route, READER, _GET_LINK, brief, absorb, _LINK_MESSAGE)
    return found


def has_route(route: socket.socket, source: bytes, destination: bytes, device: int = 0) -> bool:
    """Return whether the kernel has a route from `source` to `destination`, by a device if one is given; raise
    ReadError if it cannot be asked."""
    family = socket.AF_INET if len(destination) == 4 else socket.AF_INET6
    bits = 8 * len(destination)
    body = struct.pack("=BBBBBBBBI", family, bits, bits, 0, 0, 0, 0, 0, 0)
    body += attribute(_DESTINATION, destination) + attribute(_SOURCE, source)
    if device:
        body += attribute(_OUT_DEVICE, struct.pack("=I", device))
    try:
        answer = request_one(route, READER, _GET_ROUTE, body)
    except ReadError as error:
        if error.code:
            return False
        raise
    return answer is not None and len(answer) >= _ROUTE_MESSAGE and answer[_TYPE_AT] in (_UNICAST, _LOCAL_ROUTE)
