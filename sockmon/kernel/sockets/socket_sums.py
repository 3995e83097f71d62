"""Sums over the sockets of one process: how many it accepted on each of its listeners, and how many it opened."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import compress

from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.sock_diag import LISTEN, STATES
from sockmon.kernel.sockets.socket_rows import SocketRows
from sockmon.model.detail import Socket
from sockmon.model.snapshot import Listener

_ANY = ("0.0.0.0", "::")


class ProcessSocketRows(SocketRows):
    """The sockets of a process; also counts its TCP connections by the listener on whose port they are."""

    def __init__(self, limit: int, listeners: Iterable[Listener]) -> None:
        super().__init__(limit)
        self.accepted: Counter[int] = Counter()
        """Connections by the inode of the listener."""
        self.connected = 0
        """TCP sockets that do not listen."""
        self.listed: set[int] = set()
        """Inodes of all sockets that were found."""
        self.kinds: Counter[str] = Counter()
        """TCP sockets by state, the others by protocol."""
        self._by_port: dict[int, dict[str, int]] = {}
        for each in listeners:
            if each.protocol == "tcp":
                self._by_port.setdefault(each.port, {})[each.address] = each.inode

    def add(self, protocol: str, block: bytes, stride: int) -> None:
        """Count the sockets of a block, which are those of the process."""
        super().add(protocol, block, stride)
        self.listed.update(sock_diag.inodes(block, stride))
        if protocol != "tcp":
            self.kinds[protocol] += len(block) // stride
            return
        for state, sockets in Counter(block[sock_diag.STATE :: stride]).items():
            self.kinds[STATES[state]] += sockets
        connections = [state != LISTEN for state in block[sock_diag.STATE :: stride]]
        self.connected += sum(connections)
        ports: array[int] = sock_diag.local_ports(block, stride)
        for at in compress(range(len(ports)), connections):
            if (listeners := self._by_port.get(ports[at])) is not None:
                address = sock_diag.addresses(block, at * stride)[0]
                inode = _listener_of(sock_diag.format_address(sock_diag.unmapped(address)), listeners)
                if inode is not None:
                    self.accepted[inode] += 1

    def add_unix(self, row: Socket) -> None:
        """Count one unix socket."""
        super().add_unix(row)
        self.listed.add(row.inode)
        self.kinds["unix"] += 1

    @property
    def peers(self) -> Counter[str]:
        """Sockets by remote address, without those that have none."""
        return Counter({address: count for address, count in self.remotes.items() if address not in _ANY})

    def missing_of(self, inodes: AbstractSet[int]) -> set[int]:
        """Return those of `inodes` that were not found."""
        return set(inodes) - self.listed


def _listener_of(address: str, listeners: dict[str, int]) -> int | None:
    """Return the listener that accepted a connection to `address`: that of the address itself before those of
    any."""
    return next((listeners[each] for each in (address, *_ANY) if each in listeners), None)
