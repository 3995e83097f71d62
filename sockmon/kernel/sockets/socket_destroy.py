"""Close one TCP socket of another process: SOCK_DESTROY of sock_diag (net/ipv4/inet_diag.c, tcp_diag_destroy()).

The kernel looks the socket up by its addresses, ports and device, compares its cookie, and aborts it, as
tcp_abort() of net/ipv4/tcp.c does:

- A connection (ESTABLISHED, SYN_RECV, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT) sends a reset; the process gets
  ECONNABORTED, and keeps its descriptor until it closes it.
- SYN_SENT, LAST_ACK and CLOSING end without a reset.
- LISTEN: it listens no more, and every connection that waits in its accept queue is reset.
- A half-open connection that no process has (SYN_RECV of a request_sock) is dropped, and TIME_WAIT ends early;
  older kernels answer EOPNOTSUPP for TIME_WAIT.

Of several listeners that share an address (SO_REUSEPORT) the kernel finds one only; for the others it answers
ENOENT, because the cookie is another.
"""

from __future__ import annotations

import socket
import struct

from sockmon.kernel.netlink import execute
from sockmon.kernel.sockets.sock_diag import COOKIE, EVERY_STATE, FAMILY, READER, SPORT
from sockmon.model.socket_list import SocketKey

SOCK_DESTROY = 21
"""include/uapi/linux/sock_diag.h."""
_ID_END = COOKIE + 8


def destroy(diag: socket.socket, row: bytes) -> int:
    """Close the socket of `row`, a message of a dump; return 0, or the errno with which the kernel refuses: ENOENT
    if it has gone or is another one, EOPNOTSUPP, EPERM. Raise ReadError."""
    body = struct.pack("=BBBBI", row[FAMILY], socket.IPPROTO_TCP, 0, 0, EVERY_STATE)
    return execute(diag, READER, SOCK_DESTROY, body + row[SPORT:_ID_END])


def row_of(wanted: SocketKey) -> bytes:
    """Return a message with the identity of a socket alone; raise OSError or ValueError if it is not valid."""
    local, remote = (socket.inet_pton(wanted.family, each) for each in (wanted.source, wanted.destination))
    head = bytearray(SPORT)
    head[FAMILY] = wanted.family
    try:
        ports = struct.pack("!HH", wanted.source_port, wanted.destination_port)
        rest = struct.pack("=III", wanted.device, wanted.cookie & 0xFFFFFFFF, wanted.cookie >> 32)
    except struct.error:
        raise ValueError("a number is out of range") from None
    return bytes(head) + ports + local.ljust(16, b"\0") + remote.ljust(16, b"\0") + rest
