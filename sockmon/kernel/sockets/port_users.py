"""All TCP and UDP sockets that have one local port: who has it. Read on demand."""

from __future__ import annotations

import socket
from contextlib import suppress

from sockmon.errors import NotPresent
from sockmon.kernel.identity import kernel_version
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.bound_sockets import KNOWS_BOUND_INACTIVE
from sockmon.kernel.sockets.sock_diag import Diag, TextDiag
from sockmon.kernel.sockets.socket_rows import SocketRows


def port_users(diag: Diag, port: int, limit: int) -> Incremental[SocketRows]:
    """Return the TCP sockets in any state and the UDP sockets with the local port `port`; raise ReadError.

    UDP sockets are left out if this kernel cannot dump them."""
    rows = SocketRows(limit)
    yield from sock_diag.tcp(
        diag, sock_diag.EVERY_STATE, lambda block, stride: rows.add("tcp", block, stride), sport=port
    )

    def absorb(block: bytes, stride: int) -> None:
        for at in range(0, len(block), stride):
            if sock_diag.local_port(block, at) == port:
                rows.add("udp", block[at : at + stride], stride)

    for family in socket.AF_INET, socket.AF_INET6:
        with suppress(NotPresent):
            yield from sock_diag.inet(diag, family, socket.IPPROTO_UDP, absorb)
    return rows


def bound_users(diag: Diag, port: int, limit: int) -> Incremental[SocketRows | None]:
    """Return the TCP sockets that are bound to `port` and neither listen nor connect; None if they are not shown
    (before Linux 6.8, and by text); raise ReadError."""
    if isinstance(diag, TextDiag) or kernel_version() < KNOWS_BOUND_INACTIVE:
        return None
    rows = SocketRows(limit)

    def absorb(block: bytes, stride: int) -> None:
        for at in range(0, len(block), stride):
            if sock_diag.local_port(block, at) == port:
                rows.add("tcp", block[at : at + stride], stride)

    yield from sock_diag.tcp(diag, sock_diag.BOUND_INACTIVE, absorb, sport=port)
    return rows
