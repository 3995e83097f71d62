"""Answers to a Focus: the rows that no Snapshot carries, read when somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterable
from time import CLOCK_BOOTTIME, clock_gettime

from msgspec.structs import replace

from sockmon.agent.netns import NetnsSampler
from sockmon.agent.sampler import Sampler
from sockmon.errors import Unreadable
from sockmon.kernel.listeners import listeners, unix_listeners
from sockmon.kernel.netlink import Steps
from sockmon.kernel.owners import Owners
from sockmon.kernel.process_detail import look
from sockmon.kernel.socket_rows import Rows, group_sockets, port_sockets, sockets_by_inode
from sockmon.model.detail import (
    ROWS,
    Detail,
    Focus,
    GroupDetail,
    GroupFocus,
    ListenerDetail,
    ListenerFocus,
    ProcessDetail,
    ProcessFocus,
    Socket,
)
from sockmon.model.snapshot import Listener, Missing

REMOTES = 20


def answer(sampler: Sampler, focus: Focus) -> Steps[Detail]:
    """The Detail for `focus`; what could not be read is in its `missing`."""
    if isinstance(focus, ProcessFocus):
        return (yield from _process(sampler, focus))
    # A stream of one namespace is asked about that one; an inode that has gone gets an answer without rows.
    netns = next((item for item in sampler.netns if item.door.inode == focus.netns), sampler.netns[0])
    if isinstance(focus, GroupFocus):
        return (yield from _group(netns, sampler.owners, focus))
    return (yield from _listener(netns, sampler.owners, focus))


def _process(sampler: Sampler, focus: ProcessFocus) -> Steps[Detail]:
    found = yield from look(sampler.table, focus)
    missing = list(found.missing)
    rows = yield from _rows(missing, sockets_by_inode(sampler.netns[0].door.focus, set(found.inodes), ROWS))
    return ProcessDetail(
        at=clock_gettime(CLOCK_BOOTTIME),
        focus=focus,
        process=found.process,
        sockets=tuple(rows.sockets),
        sockets_total=rows.total,
        kinds=found.kinds,
        limits=found.limits,
        listeners=(yield from _listeners_of(sampler, set(found.inodes), missing)),
        maps=found.maps,
        cgroup=found.cgroup,
        missing=tuple(missing),
    )


def _listeners_of(sampler: Sampler, inodes: set[int], missing: list[Missing]) -> Steps[tuple[Listener, ...]]:
    if not inodes:
        return ()
    door = sampler.netns[0].door
    try:
        found = (yield from listeners(door.focus)) + (yield from unix_listeners(door.focus))
    except Unreadable as error:
        missing.append(Missing("listeners", error.message))
        return ()
    return tuple(item for item in found if item.inode in inodes)


def _group(netns: NetnsSampler, owners: Owners, focus: GroupFocus) -> Steps[Detail]:
    missing: list[Missing] = []
    steps = group_sockets(netns.door.focus, focus.source, focus.destination, focus.port, ROWS)
    rows = yield from _rows(missing, steps)
    return GroupDetail(
        at=clock_gettime(CLOCK_BOOTTIME),
        focus=focus,
        sockets=_owned(rows.sockets, owners),
        sockets_total=rows.total,
        states=rows.states,
        owners=tuple(owners.count(rows.inodes)),
        missing=tuple(missing),
    )


def _listener(netns: NetnsSampler, owners: Owners, focus: ListenerFocus) -> Steps[Detail]:
    missing: list[Missing] = []
    found = yield from _find_listener(netns, focus, missing)
    rows = Rows(ROWS)
    if found is not None and found.protocol == "tcp":
        rows = yield from _rows(missing, port_sockets(netns.door.focus, found.address, found.port, ROWS))
    elif found is not None:
        missing.append(Missing("sockets", "connections of a unix socket are not listed"))
    return ListenerDetail(
        at=clock_gettime(CLOCK_BOOTTIME),
        focus=focus,
        listener=found and replace(found, owner=owners.owner_of(found.inode)),
        sockets=_owned(rows.sockets, owners),
        sockets_total=rows.total,
        states=rows.states,
        remotes=dict(rows.remotes.most_common(REMOTES)),
        owners=tuple(owners.count([*rows.inodes, focus.inode])),
        missing=tuple(missing),
    )


def _find_listener(netns: NetnsSampler, focus: ListenerFocus, missing: list[Missing]) -> Steps[Listener | None]:
    try:
        found = (yield from listeners(netns.door.focus)) + (yield from unix_listeners(netns.door.focus))
    except Unreadable as error:
        missing.append(Missing("listeners", error.message))
        return None
    return next((item for item in found if item.inode == focus.inode), None)


def _rows(missing: list[Missing], steps: Steps[Rows]) -> Steps[Rows]:
    try:
        return (yield from steps)
    except Unreadable as error:
        missing.append(Missing("sockets", error.message))
        return Rows(ROWS)


def _owned(sockets: Iterable[Socket], owners: Owners) -> tuple[Socket, ...]:
    sockets = tuple(sockets)
    found = owners.owners_of({item.inode for item in sockets if item.inode})
    return tuple(replace(item, owner=found.get(item.inode)) for item in sockets)
