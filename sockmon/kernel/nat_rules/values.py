"""Values that rules of nftables compare with, in the words of nft(8)."""

from __future__ import annotations

import socket
import struct

from sockmon.kernel.nat_rules.registers import Field
from sockmon.text import sanitize


def prefix_mask(bits: int, size: int) -> bytes:
    """Return the mask with the first `bits` set, of `size` bytes."""
    return (((1 << bits) - 1) << (8 * size - bits)).to_bytes(size, "big")


def network_text(field: Field, value: bytes) -> str:
    """Return `10.0.0.0/8`, or the address if the mask is full; empty if the mask is not that of a prefix."""
    size = 4 if field.name.startswith("ip ") else 16
    mask = int.from_bytes((field.mask or b"\xff" * size).ljust(size, b"\0"), "big")
    prefix = mask.bit_count()
    if mask != int.from_bytes(prefix_mask(prefix, size), "big"):
        return ""
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    address = socket.inet_ntop(family, value[:size].ljust(size, b"\0"))
    return address if prefix == 8 * size else f"{address}/{prefix}"


def value_text(name: str, value: bytes) -> str:
    """Return the value of a comparison in words."""
    if name.endswith("ifname"):
        return sanitize(value.partition(b"\0")[0], 20)
    if name.endswith("addr") and len(value) in (4, 16):
        return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)
    if name in ("dport", "l4proto", "nfproto"):
        return str(int.from_bytes(value, "big"))
    if name in ("mark", "oif", "iif", "skuid") and len(value) == 4:
        return str(struct.unpack("=I", value)[0])
    return "0x" + value[:8].hex() if value else ""
