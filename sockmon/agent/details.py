"""Answers to a DetailQuery: rows that are not part of a Snapshot, read on request."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from time import CLOCK_BOOTTIME, clock_gettime

from msgspec.structs import replace

from sockmon.agent.detail_parts import all_listeners, rows_or_missing
from sockmon.agent.flow_pages import answer_flow, answer_flows
from sockmon.agent.netns_page import answer_netns
from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.one_socket import answer_socket
from sockmon.agent.part import to_missing
from sockmon.agent.process_queries import AboutProcesses, answer_about_processes, nothing_about_processes
from sockmon.agent.sampler import Sampler
from sockmon.agent.socket_list import answer_socket_list
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.socket_rows import SocketRows, group_sockets, port_sockets
from sockmon.model.conntrack_flows import FlowDetail, FlowQuery, FlowsDetail, FlowsQuery
from sockmon.model.detail import (
    MAX_SOCKETS,
    Detail,
    DetailQuery,
    GroupDetail,
    GroupQuery,
    ListenerDetail,
    ListenerQuery,
    Socket,
)
from sockmon.model.netns_rules import NetnsDetail, NetnsQuery
from sockmon.model.snapshot import Listener, Missing
from sockmon.model.socket_detail import SocketDetail, SocketFacts, SocketQuery
from sockmon.model.socket_list import SocketListDetail, SocketListQuery

MAX_REMOTES = 20


def answer_query(sampler: Sampler, query: DetailQuery) -> Generator[Detail | None, None, Detail]:
    """Return the Detail for `query`, and for a long list yield partial ones; what could not be read is in its
    `missing`."""
    try:
        return (yield from _dispatch(sampler, query))
    except Exception as error:
        return _empty_detail(query, to_missing("detail", error))


def _dispatch(sampler: Sampler, query: DetailQuery) -> Generator[Detail | None, None, Detail]:
    if isinstance(query, AboutProcesses):
        return (yield from answer_about_processes(sampler, query))
    if isinstance(query, FlowsQuery):
        return (yield from answer_flows(_netns(sampler, query.netns), query))
    if isinstance(query, FlowQuery):
        return (yield from answer_flow(_netns(sampler, query.flow.netns), query))
    if isinstance(query, SocketListQuery):
        return (yield from answer_socket_list(sampler, query))
    if isinstance(query, SocketQuery):
        return (yield from answer_socket(sampler, query))
    if isinstance(query, NetnsQuery):
        about = _netns(sampler, query.inode)
        return (yield from answer_netns(about.handle if about else None, query))
    # A query for a socket or a namespace that is gone gets an answer without rows.
    netns = sampler.sampler_of(query.netns) or sampler.netns[0]
    if isinstance(query, GroupQuery):
        return (yield from _group(netns, sampler.owners, query))
    return (yield from _listener(netns, sampler.owners, query))


def _netns(sampler: Sampler, inode: int) -> NetnsSampler | None:
    return sampler.sampler_of(inode)


def _empty_detail(query: DetailQuery, reason: Missing) -> Detail:
    """Return the answer if nothing could be read."""
    at, missing = clock_gettime(CLOCK_BOOTTIME), (reason,)
    if isinstance(query, AboutProcesses):
        return nothing_about_processes(query, missing)
    if isinstance(query, FlowsQuery):
        return FlowsDetail(at, query, (), 0, None, 0.0, missing)
    if isinstance(query, FlowQuery):
        return FlowDetail(at, query, None, missing)
    if isinstance(query, NetnsQuery):
        return NetnsDetail(at, query, missing)
    if isinstance(query, GroupQuery):
        return GroupDetail(at, query, (), 0, {}, (), missing)
    if isinstance(query, SocketListQuery):
        return SocketListDetail(at, query, (), 0, 0, complete=True, missing=missing)
    if isinstance(query, SocketQuery):
        return SocketDetail(at, query, None, SocketFacts(), (), None, missing)
    return ListenerDetail(at, query, None, (), 0, {}, {}, (), missing)


def _group(netns: NetnsSampler, owners: Owners, query: GroupQuery) -> Incremental[Detail]:
    missing: list[Missing] = []
    steps = group_sockets(
        netns.handle.query_socket, query.source, query.destination, query.port, MAX_SOCKETS, query.device
    )
    rows = yield from rows_or_missing(missing, steps)
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
        rows = yield from rows_or_missing(
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
    found = yield from all_listeners(netns.handle, missing)
    return next((item for item in found if item.inode == query.inode), None)


def _with_owners(sockets: Iterable[Socket], owners: Owners) -> tuple[Socket, ...]:
    sockets = tuple(sockets)
    found = owners.owners_of({item.inode for item in sockets if item.inode})
    return tuple(replace(item, owner=found.get(item.inode)) for item in sockets)
