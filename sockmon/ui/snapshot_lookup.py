"""Find the process, port group or listener of a query in a Snapshot."""

from __future__ import annotations

from sockmon.model.detail import GroupQuery, ListenerQuery
from sockmon.model.snapshot import Listener, Netns, PortGroup, Process, Snapshot


def find_process(snapshot: Snapshot, pid: int, start: int) -> Process | None:
    """Return the process in the Snapshot; None if it has exited, or processes could not be read."""
    rows = snapshot.processes.rows if snapshot.processes else ()
    return next((row for row in rows if row.pid == pid and row.start == start), None)


def find_netns(snapshot: Snapshot, inode: int) -> Netns | None:
    """Return the network namespace in the Snapshot."""
    return next((netns for netns in snapshot.netns if netns.inode == inode), None)


def find_group(snapshot: Snapshot, query: GroupQuery) -> PortGroup | None:
    """Return the port group in the Snapshot; None if it is empty, or too small to be listed."""
    netns = find_netns(snapshot, query.netns)
    wanted = (query.source, query.destination, query.port, query.device)
    groups = netns.ports.groups if netns and netns.ports else ()
    return next((row for row in groups if (row.source, row.destination, row.port, row.device) == wanted), None)


def find_listener(snapshot: Snapshot, query: ListenerQuery) -> Listener | None:
    """Return the listener in the Snapshot; None if it is closed."""
    netns = find_netns(snapshot, query.netns)
    return next((item for item in (netns and netns.listeners) or () if item.inode == query.inode), None)
