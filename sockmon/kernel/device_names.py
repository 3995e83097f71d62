"""Names of network devices, by the index that the sockets of a namespace have: netdevice(7)."""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress

from sockmon.text import sanitize

_SIOCGIFNAME, _SIOCGIFINDEX = 0x8910, 0x8933
_REQUEST = struct.Struct("=16si20x")
"""struct ifreq with an index."""


def device_name(netlink: socket.socket, index: int) -> str:
    """Return the name of a device of the namespace of `netlink`, any socket of it; `if7` if it is gone."""
    with suppress(OSError):
        answer = fcntl.ioctl(netlink, _SIOCGIFNAME, _REQUEST.pack(b"", index))
        return sanitize(_REQUEST.unpack(answer)[0].split(b"\0")[0].decode("utf-8", "replace"))
    return f"if{index}"


def device_index(netlink: socket.socket, name: str) -> int:
    """Return the index of the device that `device_name` called `name`; 0 if it is gone."""
    with suppress(OSError, ValueError):
        answer = fcntl.ioctl(netlink, _SIOCGIFINDEX, _REQUEST.pack(name.encode()[:15], 0))
        return int(_REQUEST.unpack(answer)[1])
    return int(name[2:]) if name.startswith("if") and name[2:].isdecimal() else 0
