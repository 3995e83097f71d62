"""A few hundred real sockets in every TCP state that can be produced; run inside a private namespace."""

from __future__ import annotations

import ctypes
import re
import socket
import struct
from collections import Counter
from pathlib import Path

from sockmon.kernel.sockets.sock_diag import STATES

V4, V6, MAPPED = "127.0.0.1", "::1", "::ffff:127.0.0.1"
Pair = tuple[socket.socket, socket.socket]
_SO_ATTACH_FILTER = 26


class AllStates:
    """Keeps the sockets, and the listeners to which they were connected."""

    def __init__(self) -> None:
        self.kept: list[socket.socket] = []
        self.four = socket.create_server((V4, 0), backlog=50)
        self.six = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=50)
        self.full = socket.create_server((V4, 0), backlog=0)

    def pairs(self, address: str, count: int) -> list[Pair]:
        """Return connections to 127.0.0.1 (AF_INET on both ends), ::1, or v4-mapped (AF_INET6 on both ends)."""
        listener = self.four if address == V4 else self.six
        made = []
        for _ in range(count):
            client = socket.socket(listener.family)
            client.connect((address, listener.getsockname()[1]))
            made.append((client, listener.accept()[0]))
        self.kept += [end for pair in made for end in pair]
        return made

    def populate(self) -> None:
        """Put some sockets into every state, another number in each family."""
        for number, address in enumerate((V4, V6, MAPPED), 1):
            self.pairs(address, 60 * number)
            for client, _ in self.pairs(address, 7 * number):
                client.shutdown(socket.SHUT_WR)  # FIN_WAIT2, CLOSE_WAIT
            for client, _ in self.pairs(address, 5 * number):
                client.close()  # FIN_WAIT2 minisocket, CLOSE_WAIT
            for client, server in self.pairs(address, 40 * number):
                client.close()
                server.close()  # TIME_WAIT
            for client, _ in self.pairs(address, 3 * number):
                _fill(client)
                client.shutdown(socket.SHUT_WR)  # FIN_WAIT1
            for client, server in self.pairs(address, 2 * number):
                _fill(server)
                client.shutdown(socket.SHUT_WR)
                server.shutdown(socket.SHUT_WR)  # LAST_ACK
        self._cross_family()
        self._half_open()

    def _cross_family(self) -> None:
        """An AF_INET client of the dual-stack listener, and an AF_INET6 client of the IPv4 one."""
        for family, address, listener in (socket.AF_INET, V4, self.six), (socket.AF_INET6, MAPPED, self.four):
            for _ in range(11):
                client = socket.socket(family)
                client.connect((address, listener.getsockname()[1]))
                self.kept += [client, listener.accept()[0]]

    def _half_open(self) -> None:
        """SYN_RECV by clients that receive nothing, SYN_SENT by a listener whose queue is full."""
        for address, listener, count in (V4, self.four, 6), (V6, self.six, 4), (V4, self.full, 9):
            for _ in range(count):
                client = socket.socket(listener.family)
                client.setblocking(False)
                if listener is not self.full:
                    _deafen(client)
                client.connect_ex((address, listener.getsockname()[1]))
                self.kept.append(client)


def _fill(sender: socket.socket) -> None:
    """Send until nothing more fits: what follows, also a FIN, stays unsent."""
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1 << 16))
    except BlockingIOError:
        pass


def _deafen(client: socket.socket) -> None:
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(drop_all))
    client.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


Line = tuple[int, str, str, int, str, int, int]
"""Family, state, source, sport, destination, dport, inode."""


def proc_net_tcp() -> list[Line]:
    """Return the sockets that /proc/net/tcp and tcp6 list: another path through the kernel."""
    lines = []
    for family, name in (socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            source, sport, destination, dport = (*_endpoint(fields[1]), *_endpoint(fields[2]))
            state = STATES[int(fields[3], 16)]
            lines.append((int(family), state, source, sport, destination, dport, int(fields[9])))
    return lines


def _endpoint(text: str) -> tuple[str, int]:
    words, port = text.split(":")
    raw = b"".join(struct.pack("=I", int(word, 16)) for word in re.findall("." * 8, words))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)


def by_family(lines: list[Line]) -> Counter[tuple[int, str]]:
    """Return how many are in each state of each family."""
    return Counter((line[0], line[1]) for line in lines)
