"""Parts that several Details have: sockets with a reason if they cannot be read, and listeners."""

from __future__ import annotations

from sockmon.errors import ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.sockets.listeners import listeners, unix_listeners
from sockmon.kernel.sockets.socket_rows import SocketRows
from sockmon.model.detail import MAX_SOCKETS
from sockmon.model.snapshot import Listener, Missing


def rows_or_missing(missing: list[Missing], steps: Incremental[SocketRows]) -> Incremental[SocketRows]:
    """Return the sockets; none if they cannot be read, and the reason in `missing`."""
    try:
        return (yield from steps)
    except ReadError as error:
        missing.append(Missing("sockets", error.message))
        return SocketRows(MAX_SOCKETS)


def all_listeners(handle: NetnsHandle, missing: list[Missing]) -> Incremental[tuple[Listener, ...]]:
    """Return TCP and unix listeners, or those of one kind if the other cannot be read."""
    found: tuple[Listener, ...] = ()
    for read in listeners, unix_listeners:
        try:
            found += yield from read(handle.query_socket)
        except ReadError as error:
            missing.append(Missing("listeners", error.message))
    return found
