"""Who has one local port on this machine: read once, for a line of a log that names the port."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from msgspec.structs import replace

from sockmon.errors import SockmonError
from sockmon.explain.observation import PortUse
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current, open_netns
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.port_ranges import RANGE, RESERVED
from sockmon.kernel.sockets.port_users import bound_users, port_users
from sockmon.model.detail import MAX_SOCKETS, Socket
from sockmon.model.snapshot import Process, Snapshot


def port_use(port: int, netns: str | None, snapshot: Snapshot | None) -> PortUse:
    """Return the sockets of `port` with their owners; `snapshot` has the processes and sysctls of the moment."""
    sysctls = snapshot.netns[0].sysctls if snapshot else {}
    low, high = _range(sysctls.get(RANGE, ""))
    reserved = sysctls.get(RESERVED)
    rows = snapshot.processes.rows if snapshot and snapshot.processes else ()
    try:
        with closing(open_netns(netns) if netns else open_current()) as handle:
            found = run(port_users(handle.query_socket, port, MAX_SOCKETS))
            bound = run(bound_users(handle.query_socket, port, MAX_SOCKETS))
        sockets = _with_owners([*found.sockets, *(bound.sockets if bound else ())], rows)
    except (SockmonError, OSError) as error:
        return PortUse(port, (), low=low, high=high, reserved_ports=reserved, unreadable=f"not read: {error}")
    count = len(found.sockets)
    return PortUse(port, sockets[:count], found.states, sockets[count:] if bound else None, low, high, reserved)


def _with_owners(sockets: Iterable[Socket], rows: tuple[Process, ...]) -> tuple[Socket, ...]:
    sockets = tuple(sockets)
    with closing(Owners()) as owners:
        run(owners.search({item.inode for item in sockets if item.inode}, rows))
        return tuple(replace(item, owner=owners.owner_of(item.inode) if item.inode else None) for item in sockets)


def _range(text: str) -> tuple[int | None, int | None]:
    parts = text.split()
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and "".join(parts).isdigit() else (None, None)
