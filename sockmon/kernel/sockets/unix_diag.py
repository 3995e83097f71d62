"""The ABI of unix_diag (include/uapi/linux/unix_diag.h): the offsets of a message, and what can be requested."""

from __future__ import annotations

import struct

from sockmon.text import sanitize

TYPE, STATE, INODE = 17, 18, 20
"""Offsets in struct unix_diag_msg after struct nlmsghdr."""
MESSAGE = 32
"""Bytes of both structs: where the attributes start."""
NAME, FILE, PEER, RQLEN, UID = 0, 1, 2, 4, 7
SHOW_NAME, SHOW_FILE, SHOW_PEER, SHOW_RQLEN, SHOW_UID = 1, 2, 4, 16, 64
"""FILE is UNIX_DIAG_VFS: inode and device of the file that a socket is bound to."""


def inode(message: bytes) -> int:
    """Return the inode of one socket."""
    return int(struct.unpack_from("=I", message, INODE)[0])


def numbers(payload: bytes, count: int) -> tuple[int, ...]:
    """Return the first `count` u32 of an attribute; empty if it is shorter."""
    return struct.unpack_from(f"={count}I", payload) if len(payload) >= 4 * count else ()


def format_name(name: bytes) -> str:
    """Return the name of a unix socket as text: a path, `@` and an abstract name, or empty."""
    if name.startswith(b"\0"):
        return "@" + sanitize(name[1:])
    return sanitize(name.partition(b"\0")[0])
