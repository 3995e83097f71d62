"""Answers to a SocketListQuery: partial ones while the dumps run, then the whole one with owners."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing

from msgspec.structs import replace

from sockmon.agent.listener_owners import unreadable_descriptors
from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.sampler import Sampler, boottime
from sockmon.errors import ReadError
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.socket_index import SocketIndex
from sockmon.kernel.sockets.listing.entries import Place, inet_row
from sockmon.kernel.sockets.listing.exact import with_info
from sockmon.kernel.sockets.listing.term_match import OWNER_FIELDS, Facts
from sockmon.kernel.sockets.listing.values import number_test, text_test
from sockmon.kernel.sockets.listing.walk import InetMessage, SocketWalk
from sockmon.model.snapshot import Missing, Owner, Process
from sockmon.model.socket_list import (
    MAX_LISTED,
    MAX_PARTIAL,
    ListedSocket,
    SocketListDetail,
    SocketListQuery,
    SocketTerm,
)

FIRST_SECONDS, PARTIAL_SECONDS = 0.1, 0.4
"""Seconds until the first partial answer, and between two of them."""
PartialAnswers = Generator[SocketListDetail | None, None, None]
"""Work in small steps: yields None after each, or an answer that is not complete."""


def answer_socket_list(
    sampler: Sampler, query: SocketListQuery
) -> Generator[SocketListDetail | None, None, SocketListDetail]:
    """Yield None after each small step and now and then a partial answer; return the complete one."""
    with closing(_Listing(sampler, query)) as listing:
        yield from listing.read()
        return listing.answer(complete=True)


def place_of(sampler: Sampler, netns: NetnsSampler, exact: bool = False) -> Place:
    """Return the namespace as its rows show it; `exact`: for exact queries only. Raise ReadError if it has
    ended."""
    handle = netns.handle
    container = handle.called.container if handle.called else ""
    diag = handle.tick_socket if exact else handle.query_socket
    return Place(
        handle.inode, handle.name, container, sampler.user_name, diag, handle.tick_socket, handle.raw_text
    )


class _Listing:
    """One list while it is read."""

    def __init__(self, sampler: Sampler, query: SocketListQuery) -> None:
        self._sampler, self._query = sampler, query
        self._namespaces: Sequence[NetnsSampler] = [
            item for item in sampler.netns if query.netns in (0, item.handle.inode)
        ]
        self._finished = 0
        self._seconds = 0.0
        self._missing: list[Missing] = []
        self._holders: dict[SocketTerm, SocketIndex] = {}
        """Sockets of the processes that a term matches."""
        self._every_owner = SocketIndex()
        """Sockets of all processes, if the list is sorted by owner."""
        self._walk = SocketWalk(query, MAX_LISTED, self._every_owner.owner)
        self._infos: dict[bytes, bytes] = {}
        self._dumping: NetnsSampler | None = None
        self._next = time.monotonic() + FIRST_SECONDS

    def close(self) -> None:
        """Let no later dump wait for the rest of one that was stopped."""
        if self._dumping is not None:
            self._dumping.handle.release_query()

    def read(self) -> PartialAnswers:
        """Read everything; what cannot be read is missing."""
        if not self._namespaces:
            self._missing.append(Missing("sockets", "this network namespace is not watched, or is gone"))
        yield from self._guarded(self._read_holders())
        for netns in self._namespaces:
            yield from self._guarded(self._read_namespace(netns))
            self._finished += 1
            self._dumping = None
            if len(self._namespaces) > 1:
                netns.handle.release_query()
        yield self.answer(complete=False)
        inodes = {row.key.inode for row in self._rows(MAX_LISTED) if row.key.inode}
        yield from self._guarded(self._sampler.owners.search(inodes, self._sampler.processes.rows()))
        self._missing += unreadable_descriptors(self._sampler.owners)

    def _guarded(self, steps: Incremental[None]) -> PartialAnswers:
        """Run `steps`, count the processor time of their work, and answer in part now and then."""
        while True:
            begin = time.process_time()
            try:
                next(steps)
            except StopIteration:
                return
            except ReadError as error:
                self._missing.append(Missing(error.reader, error.message))
                return
            finally:
                self._seconds += time.process_time() - begin
            yield None
            if time.monotonic() >= self._next and self._walk.read:
                yield self.answer(complete=False)
                self._next = time.monotonic() + PARTIAL_SECONDS

    def _read_namespace(self, netns: NetnsSampler) -> Incremental[None]:
        place = place_of(self._sampler, netns)
        names = tuple(filter(None, (place.name, place.container)))
        self._dumping = netns
        yield from self._walk.steps(place, Facts(names, self._sampler.user_name, self._holders))

    def _read_holders(self) -> Incremental[None]:
        """Read which sockets the processes hold that a term names; to sort by owner, those of all processes."""
        processes, proc = self._sampler.processes.rows(), self._sampler.table.proc
        wanted = {term: _matching(term, processes) for term in self._query.terms if _asks_owner(term)}
        self._holders = {term: SocketIndex() for term in wanted}
        for term, matching in wanted.items():
            yield from self._holders[term].read(matching, proc)
        if self._query.sort == "owner":
            yield from self._every_owner.read(processes, proc)
        if not all(index.complete for index in (*self._holders.values(), self._every_owner)):
            self._missing.append(Missing("owners", "processes hold too many sockets to compare all of them"))

    def answer(self, complete: bool) -> SocketListDetail:
        """Return what was read so far."""
        rows = self._rows(MAX_LISTED if complete else MAX_PARTIAL)
        return SocketListDetail(
            at=boottime(),
            query=self._query,
            sockets=tuple(self._with_owners(rows)),
            matching=self._walk.matching,
            read=self._walk.read,
            complete=complete,
            namespaces=len(self._namespaces),
            namespaces_read=self._finished,
            seconds=self._seconds,
            missing=tuple(dict.fromkeys([*self._missing, *self._walk.missing])),
        )

    def _rows(self, most: int) -> list[ListedSocket]:
        return [
            inet_row(row.protocol, with_info(row, self._infos), row.place) if isinstance(row, InetMessage) else row
            for row in self._walk.first(most)
        ]

    def _with_owners(self, rows: Sequence[ListedSocket]) -> list[ListedSocket]:
        """Return the rows with owners: the process that a term asks for, else the one that accepts or holds it."""
        asked = [index for term, index in self._holders.items() if term.field and not term.negated]
        found = self._sampler.owners.owners_of({row.key.inode for row in rows if row.key.inode})
        return [replace(row, owner=_owner(row.key.inode, asked, found)) for row in rows]


def _owner(inode: int, asked: Sequence[SocketIndex], found: dict[int, Owner]) -> Owner | None:
    if not inode:
        return None
    for index in asked:
        if process := index.owner(inode):
            return Owner(process.pid, process.start, process.name, 1)
    return found.get(inode)


def _asks_owner(term: SocketTerm) -> bool:
    """Return whether a term needs the sockets of processes: by name, by pid, or any word."""
    return not term.field or term.field in OWNER_FIELDS


def _matching(term: SocketTerm, processes: Sequence[Process]) -> list[Process]:
    """Return the processes that a term names."""
    if term.field == "pid":
        of_pid = number_test(term.values)
        return [process for process in processes if of_pid(process.pid)]
    named = text_test(term.values)
    return [process for process in processes if named(process.name) or named(process.command)]
