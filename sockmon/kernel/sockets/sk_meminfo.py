"""struct sk_meminfo: the memory of one socket, and what it dropped (INET_DIAG_SKMEMINFO; sk_get_meminfo(),
net/core/sock.c; include/uapi/linux/sock_diag.h)."""

from __future__ import annotations

import struct

from sockmon.kernel.netlink import ATTRIBUTE
from sockmon.kernel.sockets.sock_diag import MESSAGE

_KIND = 7  # INET_DIAG_SKMEMINFO, include/uapi/linux/inet_diag.h
REQUEST = 1 << (_KIND - 1)
"""The extension bit that asks for it."""
RMEM_ALLOC, RCVBUF, FWD_ALLOC, WMEM_QUEUED, DROPS = 0, 1, 4, 5, 8
"""Fields: bytes in the receive queues, the size of the receive buffer, bytes that are charged and not in use,
bytes in the send queue, and datagrams or connections that were dropped."""

_SIZE = 4 + 4 * 9
_HEAD = ATTRIBUTE.pack(_SIZE, _KIND)


def find(block: bytes, stride: int) -> int | None:
    """Return where the struct begins in every message of a block; None if it is not in the same place in all."""
    at = MESSAGE
    while at + 4 <= stride:
        length, kind = ATTRIBUTE.unpack_from(block, at)
        if kind == _KIND and length == _SIZE and at + length <= stride:
            count = len(block) // stride
            same = all(block[at + byte :: stride].count(_HEAD[byte]) == count for byte in range(4))
            return at + 4 if same else None
        if length < 4:
            return None
        at += (length + 3) & ~3
    return None


def column(block: bytes, stride: int, start: int, field: int) -> list[int]:
    """Return one field of every message of a block; `start` is the answer of `find`."""
    return memoryview(block).cast("I")[start // 4 + field :: stride // 4].tolist()


def value(message: bytes, start: int, field: int) -> int:
    """Return one field of one message."""
    return int(struct.unpack_from("=I", message, start + 4 * field)[0])
