"""Ask the kernel whether connect() still finds a local port, without sending a packet.

Statistics cannot tell who took a range that is full. A connect() to an unused destination can: it fails
with EADDRNOTAVAIL only if every port of the range is held by sockets that were bound to it (__inet_hash_connect of
net/ipv4/inet_hashtables.c skips a port whose bucket has fastreuse >= 0).

TCP_FASTOPEN_CONNECT with TCP_FASTOPEN_NO_COOKIE lets connect() choose the port and put off the SYN until the first
write (tcp_fastopen_defer_connect of net/ipv4/tcp_fastopen.c), which never comes: no packet, no counter and no
TIME_WAIT. The port is held for some microseconds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

DISABLED = "SOCKMON_NO_PORT_PROBE"
"""Environment variable: if it is set and not empty, the kernel is never asked."""
_TCP_FASTOPEN_CONNECT, _TCP_FASTOPEN_NO_COOKIE = 30, 34
_DESTINATION = ("127.0.0.1", 1)
"""A port that no server uses; nothing is sent to it."""
_UNSPECIFIED = bytes(16)
"""A sockaddr of AF_UNSPEC: connect() to it releases the port (connect(2))."""

_libc = ctypes.CDLL(None, use_errno=True)


def open_probe() -> socket.socket | None:
    """Return a TCP socket of the namespace of the calling thread; None if that is switched off or refused."""
    if os.environ.get(DISABLED):
        return None
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return None


def finds_port(probe: socket.socket) -> bool | None:
    """Return whether connect() finds a port; None if the kernel cannot be asked (net.ipv4.tcp_fastopen without
    1, `lo` down, a policy)."""
    try:
        probe.setblocking(False)
        probe.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)
        probe.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_NO_COOKIE, 1)
        code = probe.connect_ex(_DESTINATION)
    except OSError:
        return None
    if code == errno.EADDRNOTAVAIL:
        return False
    _libc.connect(probe.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
    return True if code == 0 else None
