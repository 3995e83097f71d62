"""The answers about one process: what it is, its sockets in its own network namespace, its descriptors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import CLOCK_BOOTTIME, clock_gettime

from msgspec.structs import replace

from sockmon.agent.detail_parts import all_listeners
from sockmon.agent.part import read_or_missing
from sockmon.agent.sampler import Sampler
from sockmon.errors import ReadError
from sockmon.kernel.missing import note_missing
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.of_process import netns_of_process
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.descriptors import list_descriptors
from sockmon.kernel.processes.process_detail import ProcessFiles, read_detail
from sockmon.kernel.sockets.proc_net import LABEL
from sockmon.kernel.sockets.sock_diag import TextDiag
from sockmon.kernel.sockets.socket_rows import SocketRows, add_sockets_by_inode, sockets_by_inode
from sockmon.kernel.sockets.socket_sums import ProcessSocketRows
from sockmon.model.detail import MAX_SOCKETS, ProcessDetail, ProcessQuery, Socket
from sockmon.model.process_facts import (
    MAX_DESCRIPTOR_ROWS,
    Descriptor,
    DescriptorsDetail,
    DescriptorsQuery,
    MemoryDetail,
    MemoryQuery,
    ProcessFacts,
)
from sockmon.model.snapshot import Listener, Missing

MAX_REMOTES = 20


def answer_process(sampler: Sampler, query: ProcessQuery) -> Incremental[ProcessDetail]:
    """Return all about one process; what could not be read is in its `missing`."""
    found = yield from read_detail(sampler.table, query)
    missing = list(found.missing)
    if found.process is None:
        return ended(query, tuple(missing))
    facts = yield from _facts(sampler, query, missing)
    if facts and facts.state in ("Z", "X"):
        # It has released them, although the kernel says that an ordinary user may not look.
        missing = [item for item in missing if item.reader not in ("descriptors", "maps")]
    rows, listeners, netns = yield from _sockets(sampler, query, found, missing)
    origins = read_or_missing(missing, "limit origins", lambda: sampler.limit_origins.of(query.pid, query.start))
    peers = rows.peers
    return ProcessDetail(
        at=clock_gettime(CLOCK_BOOTTIME),
        query=query,
        process=found.process,
        sockets=tuple(rows.sockets),
        sockets_total=rows.total,
        kinds=found.kinds,
        limits=found.limits,
        listeners=listeners,
        maps=found.maps,
        cgroup=found.cgroup,
        missing=tuple(missing),
        recv_queue=rows.recv_queue if rows.total else None,
        send_queue=rows.send_queue if rows.total else None,
        origins=origins or (),
        facts=facts,
        netns=netns,
        states=dict(rows.kinds.most_common()),
        remotes=dict(peers.most_common(MAX_REMOTES)),
        remotes_total=len(peers),
        accepted=dict(rows.accepted),
        connections=rows.connected,
        unlisted=len(rows.missing_of(found.inodes)) if netns else 0,
    )


def ended(query: ProcessQuery, missing: tuple[Missing, ...]) -> ProcessDetail:
    """Return the answer for a process that has ended, or cannot be read at all."""
    return ProcessDetail(clock_gettime(CLOCK_BOOTTIME), query, None, (), 0, {}, (), (), None, "", missing)


def _facts(sampler: Sampler, query: ProcessQuery, missing: list[Missing]) -> Incremental[ProcessFacts | None]:
    facts = yield from sampler.process_facts.read(query.pid, query.start, missing)
    owner = sampler.names.owner_of(query.pid)
    called = owner and read_or_missing(missing, "owner", lambda: sampler.names.name_of(owner))
    return facts and replace(facts, owner=called or None)


def _sockets(
    sampler: Sampler, query: ProcessQuery, found: ProcessFiles, missing: list[Missing]
) -> Incremental[tuple[ProcessSocketRows, tuple[Listener, ...], int]]:
    """Return the sockets and the listeners of a process, and the inode of the namespace that they are in."""
    rows, own = ProcessSocketRows(MAX_SOCKETS, ()), tuple[Listener, ...]()
    if not found.inodes:
        return rows, own, 0
    try:
        with _netns_of(sampler, query) as handle:
            if isinstance(handle.query_socket, TextDiag):
                missing.append(Missing("sockets", LABEL))
            every = yield from all_listeners(handle, missing)
            own = tuple(item for item in every if item.inode in found.inodes)
            rows = ProcessSocketRows(MAX_SOCKETS, own)
            yield from add_sockets_by_inode(handle.query_socket, found.inodes, rows)
            return rows, own, handle.inode
    except ReadError as error:
        missing.append(Missing("sockets", error.message))
    return rows, own, 0


@contextmanager
def _netns_of(sampler: Sampler, query: ProcessQuery | DescriptorsQuery) -> Iterator[NetnsHandle]:
    """Yield a handle of the network namespace of the process: one that is sampled, or one that is opened for this
    question; raise ReadError."""
    with netns_of_process(query.pid, query.start, sampler.table.proc) as netns:
        sampled = sampler.sampler_of(netns.inode) if netns.inode else None
        sampled = sampled or next((item for item in sampler.netns if netns.is_of(item.handle)), None)
        if sampled is not None:
            yield sampled.handle
            return
        with netns.open() as handle:
            yield handle


def answer_memory(sampler: Sampler, query: MemoryQuery) -> Incremental[MemoryDetail]:
    """Return the memory of one process, counted page by page."""
    missing: list[Missing] = []
    found = yield from sampler.process_facts.counters.memory(query.pid, query.start, missing)
    row = sampler.table.read_one(query.pid)
    if row is None or row.start != query.start:
        found, missing = None, [Missing("memory", "the process has ended")]
    return MemoryDetail(
        clock_gettime(CLOCK_BOOTTIME),
        query,
        found[0] if found else None,
        found[1] if found else None,
        tuple(missing),
    )


def answer_descriptors(sampler: Sampler, query: DescriptorsQuery) -> Incremental[DescriptorsDetail]:
    """Return the descriptors of one process by number, with the addresses of its sockets."""
    missing: list[Missing] = []
    row = sampler.table.read_one(query.pid)
    if row is None or row.start != query.start:
        return _descriptors(query, missing)
    try:
        found = yield from list_descriptors(query.pid, sampler.table.proc, query.kind, MAX_DESCRIPTOR_ROWS)
    except ReadError as error:
        note_missing(missing, error)
        return _descriptors(query, missing, name=row.name)
    if found.read < found.total:
        missing.append(Missing("descriptors", f"{found.read:,} of {found.total:,} were read"))
    inodes = {inode for inode in found.inodes if inode}
    known: dict[int, Socket] = {}
    if inodes:
        with suppress(ReadError):
            known = yield from _sockets_of(sampler, query, inodes, missing)
    rows = [_with_socket(item, known.get(inode)) for item, inode in zip(found.rows, found.inodes, strict=True)]
    # Read last: if the process still runs, all that was read above is of this process.
    row = sampler.table.read_one(query.pid)
    if row is None or row.start != query.start:
        return _descriptors(query, missing)
    return _descriptors(query, missing, rows, found.matching, found.total, dict(found.kinds), row.name)


def _sockets_of(
    sampler: Sampler, query: DescriptorsQuery, inodes: set[int], missing: list[Missing]
) -> Incremental[dict[int, Socket]]:
    rows = SocketRows(len(inodes))
    try:
        with _netns_of(sampler, query) as handle:
            rows = yield from sockets_by_inode(handle.query_socket, inodes, len(inodes))
    except ReadError as error:
        missing.append(Missing("sockets", error.message))
    return {item.inode: item for item in rows.sockets}


def _with_socket(item: Descriptor, socket: Socket | None) -> Descriptor:
    if socket is None:
        return item
    return replace(item, protocol=socket.protocol, state=socket.state, local=socket.local, remote=socket.remote)


def _descriptors(
    query: DescriptorsQuery,
    missing: Sequence[Missing],
    rows: Sequence[Descriptor] = (),
    matching: int = 0,
    total: int | None = None,
    kinds: dict[str, int] | None = None,
    name: str = "",
) -> DescriptorsDetail:
    at = clock_gettime(CLOCK_BOOTTIME)
    return DescriptorsDetail(at, query, tuple(rows), matching, total, kinds or {}, name, tuple(missing))
