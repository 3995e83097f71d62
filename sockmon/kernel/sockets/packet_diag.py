"""The ABI of packet_diag: sockets of AF_PACKET, which see frames (include/uapi/linux/packet_diag.h)."""

from __future__ import annotations

import socket
import struct

from sockmon.kernel.netlink import BlockHandler, Incremental, dump

READER = "packet_diag"
TYPE, PROTOCOL, INODE, COOKIE, MESSAGE = 17, 18, 20, 24, 32
"""Offsets in struct packet_diag_msg after struct nlmsghdr, and where the attributes start."""
INFO, UID, MEMINFO = 0, 5, 6
"""PACKET_DIAG_INFO, _UID and _MEMINFO."""
_SHOW_INFO, _SHOW_MEMINFO = 1, 16
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_ETHER_NAMES = {0x0003: "all", 0x0800: "ip", 0x0806: "arp", 0x86DD: "ipv6", 0x88CC: "lldp", 0x888E: "eapol"}


def dump_packet(netlink: socket.socket, absorb: BlockHandler) -> Incremental[None]:
    """Dump the packet sockets of a namespace; raise NotPresent without the module packet_diag, ReadError."""
    body = struct.pack("=BBHIIII", socket.AF_PACKET, 0, 0, 0, _SHOW_INFO | _SHOW_MEMINFO, 0xFFFFFFFF, 0xFFFFFFFF)
    return dump(netlink, READER, _BY_FAMILY, body, absorb, MESSAGE)


def protocol(message: bytes) -> int:
    """Return the Ethernet protocol that the socket receives; 0 if it is not bound to one."""
    return int(struct.unpack_from("=H", message, PROTOCOL)[0])


def protocol_name(number: int) -> str:
    """Return a name of an Ethernet protocol, or its number: `ip`, `all`, `0x88b5`."""
    return _ETHER_NAMES.get(number, f"0x{number:04x}" if number else "none")


def device(info: bytes) -> int:
    """Return the device index in the payload of INFO; 0 if it is bound to none."""
    return int(struct.unpack_from("=I", info)[0]) if len(info) >= 4 else 0
