"""Answers to a DetailQuery: rows that are not part of a Snapshot, read on request."""

from __future__ import annotations

from collections.abc import Iterable
from time import CLOCK_BOOTTIME, clock_gettime

from msgspec.structs import replace

from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.part import read_or_missing, to_missing
from sockmon.agent.sampler import Sampler
from sockmon.errors import ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.process_detail import read_detail
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.listeners import listeners, unix_listeners
from sockmon.kernel.sockets.socket_rows import SocketRows, group_sockets, port_sockets, sockets_by_inode
from sockmon.model.detail import (
    MAX_SOCKETS,
    Detail,
    DetailQuery,
    GroupDetail,
    GroupQuery,
    ListenerDetail,
    ListenerQuery,
    ProcessDetail,
    ProcessQuery,
    Socket,
)
from sockmon.model.snapshot import Listener, Missing

MAX_REMOTES = 20


def answer_query(sampler: Sampler, query: DetailQuery) -> Incremental[Detail]:
    """Return the Detail for `query`; what could not be read is in its `missing`."""
    try:
        return (yield from _dispatch(sampler, query))
    except Exception as error:
        return _empty_detail(query, to_missing("detail", error))


def _dispatch(sampler: Sampler, query: DetailQuery) -> Incremental[Detail]:
    if isinstance(query, ProcessQuery):
        return (yield from _process(sampler, query))
    # The stream has one namespace. A query for a socket that is gone gets an answer without rows.
    netns = next((item for item in sampler.netns if item.handle.inode == query.netns), sampler.netns[0])
    if isinstance(query, GroupQuery):
        return (yield from _group(netns, sampler.owners, query))
    return (yield from _listener(netns, sampler.owners, query))


def _empty_detail(query: DetailQuery, reason: Missing) -> Detail:
    """Return the answer if nothing could be read."""
    at, missing = clock_gettime(CLOCK_BOOTTIME), (reason,)
    if isinstance(query, ProcessQuery):
        return ProcessDetail(at, query, None, (), 0, {}, (), (), None, "", missing)
    if isinstance(query, GroupQuery):
        return GroupDetail(at, query, (), 0, {}, (), missing)
    return ListenerDetail(at, query, None, (), 0, {}, {}, (), missing)


def _process(sampler: Sampler, query: ProcessQuery) -> Incremental[Detail]:
    found = yield from read_detail(sampler.table, query)
    missing = list(found.missing)
    rows = yield from _rows_or_missing(
        missing, sockets_by_inode(sampler.netns[0].handle.query_socket, set(found.inodes), MAX_SOCKETS)
    )
    origins = read_or_missing(missing, "limit origins", lambda: sampler.limit_origins.of(query.pid, query.start))
    return ProcessDetail(
        at=clock_gettime(CLOCK_BOOTTIME),
        query=query,
        process=found.process,
        sockets=tuple(rows.sockets),
        sockets_total=rows.total,
        kinds=found.kinds,
        limits=found.limits,
        listeners=(yield from _listeners_of(sampler, set(found.inodes), missing)),
        maps=found.maps,
        cgroup=found.cgroup,
        missing=tuple(missing),
        # Sockets of another network namespace are not found.
        recv_queue=rows.recv_queue if rows.total else None,
        send_queue=rows.send_queue if rows.total else None,
        origins=origins or (),
    )


def _listeners_of(sampler: Sampler, inodes: set[int], missing: list[Missing]) -> Incremental[tuple[Listener, ...]]:
    if not inodes:
        return ()
    found = yield from _all_listeners(sampler.netns[0].handle, missing)
    return tuple(item for item in found if item.inode in inodes)


def _all_listeners(handle: NetnsHandle, missing: list[Missing]) -> Incremental[tuple[Listener, ...]]:
    """Return TCP and unix listeners, or those of one kind if the other cannot be read."""
    found: tuple[Listener, ...] = ()
    for read in listeners, unix_listeners:
        try:
            found += yield from read(handle.query_socket)
        except ReadError as error:
            missing.append(Missing("listeners", error.message))
    return found


def _group(netns: NetnsSampler, owners: Owners, query: GroupQuery) -> Incremental[Detail]:
    missing: list[Missing] = []
    steps = group_sockets(
        netns.handle.query_socket, query.source, query.destination, query.port, MAX_SOCKETS, query.device
    )
    rows = yield from _rows_or_missing(missing, steps)
    return GroupDetail(
        at=clock_gettime(CLOCK_BOOTTIME),
        query=query,
        sockets=_with_owners(rows.sockets, owners),
        sockets_total=rows.total,
        states=rows.states,
        owners=tuple(owners.count(rows.inodes)),
        missing=tuple(missing),
    )


def _listener(netns: NetnsSampler, owners: Owners, query: ListenerQuery) -> Incremental[Detail]:
    missing: list[Missing] = []
    found = yield from _find_listener(netns, query, missing)
    rows = SocketRows(MAX_SOCKETS)
    if found is not None and found.protocol == "tcp":
        rows = yield from _rows_or_missing(
            missing, port_sockets(netns.handle.query_socket, found.address, found.port, MAX_SOCKETS)
        )
    elif found is not None:
        missing.append(Missing("sockets", "connections of a unix socket are not listed"))
    return ListenerDetail(
        at=clock_gettime(CLOCK_BOOTTIME),
        query=query,
        listener=found and replace(found, owner=owners.owner_of(found.inode)),
        sockets=_with_owners(rows.sockets, owners),
        sockets_total=rows.total,
        states=rows.states,
        remotes=dict(rows.remotes.most_common(MAX_REMOTES)),
        owners=tuple(owners.count([*rows.inodes, query.inode])),
        missing=tuple(missing),
    )


def _find_listener(
    netns: NetnsSampler, query: ListenerQuery, missing: list[Missing]
) -> Incremental[Listener | None]:
    found = yield from _all_listeners(netns.handle, missing)
    return next((item for item in found if item.inode == query.inode), None)


def _rows_or_missing(missing: list[Missing], steps: Incremental[SocketRows]) -> Incremental[SocketRows]:
    try:
        return (yield from steps)
    except ReadError as error:
        missing.append(Missing("sockets", error.message))
        return SocketRows(MAX_SOCKETS)


def _with_owners(sockets: Iterable[Socket], owners: Owners) -> tuple[Socket, ...]:
    sockets = tuple(sockets)
    found = owners.owners_of({item.inode for item in sockets if item.inode})
    return tuple(replace(item, owner=found.get(item.inode)) for item in sockets)
