"""Ask the kernel whether a unix datagram socket has room for a message, without sending one.

A queue is not shown: neither its length nor the limit that the socket was made with. But poll(2) reports POLLOUT
for a socket that is connected to it only if another message fits (unix_dgram_poll() of net/unix/af_unix.c), and
that is the test that decides whether a sender blocks. connect(2) delivers nothing to the receiver; it takes 10 µs.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket

DISABLED = "SOCKMON_NO_DATAGRAM_PROBE"
"""Environment variable: if it is set and not empty, the kernel is never asked."""
_UNSPECIFIED = bytes(16)
"""A sockaddr of AF_UNSPEC: connect() to it ends the connection (connect(2))."""

_libc = ctypes.CDLL(None, use_errno=True)


def open_probe() -> socket.socket | None:
    """Return a socket of the network namespace of the calling thread; None if that is switched off or refused."""
    if os.environ.get(DISABLED):
        return None
    try:
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except OSError:
        return None
    probe.setblocking(False)
    return probe


def has_room(probe: socket.socket, address: bytes) -> bool | None:
    """Return whether one more message fits into the socket at `address`; None if it cannot be asked: this user may
    not write to it, it is connected to another socket, or there is none."""
    try:
        probe.connect(address)
    except (OSError, ValueError):
        return None
    try:
        poll = select.poll()
        poll.register(probe, select.POLLOUT)
        found = dict(poll.poll(0)).get(probe.fileno(), 0)
    finally:
        _libc.connect(probe.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
    return None if found & (select.POLLERR | select.POLLHUP) else bool(found & select.POLLOUT)
