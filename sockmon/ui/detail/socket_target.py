"""What Enter opens for one socket: its listener, its port group, or a message that says what it is."""

from __future__ import annotations

from sockmon.model.detail import DetailQuery, GroupQuery, ListenerQuery, Socket
from sockmon.model.snapshot import Listener, Netns, Snapshot
from sockmon.model.socket_list import UNIX, SocketKey
from sockmon.ui.filtering.row_values import endpoint

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
LISTENER_GONE = "this listener is closed, or missing from the last sample"
NO_OWNER_REASON = {
    "TIME_WAIT": "closed by the process, kept by the kernel",
    "SYN_RECV": "not accepted by a process yet",
}
"""State → why such a socket has no owner."""


def netns_of(listener: Listener, snapshot: Snapshot) -> int | None:
    """Return the inode of the namespace of the listener."""
    for netns in snapshot.netns:
        if any(item.inode == listener.inode for item in netns.listeners or ()):
            return netns.inode
    return None


def socket_target(socket: Socket, snapshot: Snapshot) -> DetailQuery | str:
    """Return the listener that it is or that accepted it, the port group that counts it, or a message."""
    for netns in snapshot.netns:
        found = _own_listener(socket, netns) or _port_group(socket, netns) or _accepting_listener(socket, netns)
        if found:
            return found
    what = f"{socket.protocol} {socket.state} {socket.local}"
    if reason := NO_OWNER_REASON.get(socket.state):
        return f"{what}: {reason}"
    return f"{what}: no page for one socket; see it with: ss -anep, inode {socket.inode}"


def socket_key(row: Socket, netns: int) -> SocketKey | None:
    """Return which socket a row of a page is; None if the kernel did not tell, as with the text of /proc/net."""
    if row.protocol == UNIX:
        return SocketKey(netns, UNIX, _AF_UNIX, row.cookie, row.inode) if row.inode else None
    if not row.cookie:
        return None
    (source, sport), (destination, dport) = endpoint(row.local), endpoint(row.remote)
    family = _AF_INET6 if row.local.startswith("[") else _AF_INET
    ends = (source, sport or 0, destination, dport or 0)
    return SocketKey(netns, row.protocol, family, row.cookie, row.inode, *ends, row.device)


def _own_listener(socket: Socket, netns: Netns) -> DetailQuery | None:
    listening = any(each.inode == socket.inode for each in netns.listeners or ())
    return ListenerQuery(netns.inode, socket.inode) if listening and socket.inode else None


def _port_group(socket: Socket, netns: Netns) -> DetailQuery | None:
    if socket.protocol != "tcp":
        return None
    source, (destination, port) = endpoint(socket.local)[0], endpoint(socket.remote)
    for each in netns.ports.groups if netns.ports else ():
        if (each.source, each.destination, each.port) == (source, destination, port):
            return GroupQuery(netns.inode, each.source, each.destination, each.port, each.device)
    return None


def _accepting_listener(socket: Socket, netns: Netns) -> DetailQuery | None:
    address, port = endpoint(socket.local)
    for each in netns.listeners or ():
        here = each.address in (address, "0.0.0.0", "::")
        if each.protocol == socket.protocol == "tcp" and each.port == port and here:
            return ListenerQuery(netns.inode, each.inode)
    return None
