"""The sockets that match, of one namespace after another: dumps in steps, of which the first rows are kept."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import compress
from typing import NamedTuple

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.netlink import BlockHandler, Incremental
from sockmon.kernel.sockets import packet_diag, sock_diag, unix_diag
from sockmon.kernel.sockets.listing.block import Block
from sockmon.kernel.sockets.listing.entries import Place, packet_row, unix_row
from sockmon.kernel.sockets.listing.kernel_filter import kernel_filter
from sockmon.kernel.sockets.listing.orders import INFO_SORTS, OwnerOf, block_keys, largest_first, row_key
from sockmon.kernel.sockets.listing.term_match import (
    INFO_FIELDS,
    Facts,
    block_mask,
    never_inet,
    never_without_ports,
    row_matches,
)
from sockmon.kernel.sockets.listing.top_rows import TopRows
from sockmon.kernel.sockets.listing.values import text_test
from sockmon.kernel.sockets.sock_diag import TextDiag
from sockmon.model.snapshot import Missing
from sockmon.model.socket_list import (
    PACKET,
    PROTOCOLS,
    RAW,
    TCP,
    UDP,
    UNIX,
    ListedSocket,
    SocketListQuery,
    SocketTerm,
)

MAX_NAMES = 200_000
"""Names of unix sockets that are kept, to name the peers of others."""
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
NUMBERS = {UDP: socket.IPPROTO_UDP, RAW: socket.IPPROTO_RAW}
_UNIX_SHOW = unix_diag.SHOW_NAME | unix_diag.SHOW_PEER | unix_diag.SHOW_RQLEN | unix_diag.SHOW_UID
_ANY_STATE = 0xFFFFFFFF


def dump_inet(place: Place, protocol: str, family: int, absorb: BlockHandler, ask: int = 0) -> Incremental[None]:
    """Dump UDP or raw sockets of one family, from text if the kernel cannot dump them; `ask`: extensions."""
    try:
        yield from sock_diag.inet(place.diag, family, NUMBERS[protocol], absorb, ask)
    except NotPresent:
        if protocol != RAW:
            return
        text = place.raw_text()
        if text is None:
            raise ReadError("sockets", "this kernel lists them only as text, which was not opened there") from None
        with suppress(NotPresent):
            yield from sock_diag.inet(text, family, NUMBERS[protocol], absorb, ask)


class InetMessage(NamedTuple):
    """A TCP, UDP or raw socket that is kept, as the kernel sent it."""

    protocol: str
    message: bytes
    place: Place


class SocketWalk:
    """Reads the namespaces that it is given one by one; between two steps `first` has the rows so far."""

    def __init__(self, query: SocketListQuery, limit: int, owner_of: OwnerOf) -> None:
        self.matching = 0
        self.read = 0
        """Sockets that the kernel returned."""
        self.missing: list[Missing] = []
        self._terms, self._sort, self._owner_of = query.terms, query.sort, owner_of
        self._top: TopRows[InetMessage | ListedSocket] = TopRows(limit, largest_first(query))
        self._extensions = 0
        if query.sort in INFO_SORTS or any(term.field in INFO_FIELDS for term in query.terms):
            self._extensions = sock_diag.INFO

    def first(self, most: int) -> list[InetMessage | ListedSocket]:
        """Return the first rows so far, in order."""
        return self._top.first(most)

    def steps(self, place: Place, facts: Facts) -> Incremental[None]:
        """Read all sockets of a namespace that can match; what cannot be read is added to `missing`."""
        for protocol in self._wanted_protocols(facts):
            try:
                yield from self._dump(protocol, place, facts)
            except NotPresent:
                # The kernel has no such sockets: the module is not loaded, or IPv6 is off.
                continue
            except ReadError as error:
                self.missing.append(Missing("sockets", f"{protocol}: {error.message}", netns=place.inode))

    def _wanted_protocols(self, facts: Facts) -> Iterator[str]:
        """Yield the protocols whose sockets can match."""
        for term in self._terms:
            if term.field == "ct" and any(map(text_test(term.values), facts.names)) is term.negated:
                return
        for protocol in PROTOCOLS:
            inet = protocol in (TCP, UDP, RAW)
            chosen = (term for term in self._terms if term.field == "proto")
            if any(text_test(term.values)(protocol) is term.negated for term in chosen):
                continue
            if never_inet(self._terms) if inet else never_without_ports(self._terms):
                continue
            yield protocol

    def _dump(self, protocol: str, place: Place, facts: Facts) -> Incremental[None]:
        if protocol == TCP:
            yield from self._dump_tcp(place, facts)
        elif protocol == UNIX:
            yield from self._dump_unix(place, facts)
        elif protocol == PACKET:
            if not isinstance(place.diag, TextDiag):
                absorb = self._rows_handler(lambda message: packet_row(message, place), facts)
                yield from packet_diag.dump_packet(place.diag, absorb)
        else:
            for family in _FAMILIES:
                absorb = self._block_handler(protocol, place, facts, self._terms)
                yield from dump_inet(place, protocol, family, absorb)

    def _dump_tcp(self, place: Place, facts: Facts) -> Incremental[None]:
        asked = kernel_filter(self._terms)
        if not asked.states:
            return
        absorb = self._block_handler(TCP, place, facts, asked.rest)
        yield from sock_diag.tcp(place.diag, asked.states, absorb, asked.program, self._extensions)

    def _block_handler(
        self, protocol: str, place: Place, facts: Facts, terms: tuple[SocketTerm, ...]
    ) -> BlockHandler:
        sort = self._sort

        def absorb(data: bytes, stride: int) -> None:
            block = Block(protocol, data, stride)
            self.read += block.count
            mask = block_mask(block, terms, facts) if terms else None
            matching = block.count if mask is None else sum(mask)
            self.matching += matching
            if not matching:
                return
            keys = block_keys(block, sort, self._owner_of)
            numbers = self._top.wanted(keys)
            for number in numbers if mask is None else compress(numbers, map(mask.__getitem__, numbers)):
                self._top.add(keys[number], InetMessage(protocol, block.message(number), place))

        return absorb

    def _rows_handler(self, row_of: Callable[[bytes], ListedSocket], facts: Facts) -> BlockHandler:
        def absorb(data: bytes, stride: int) -> None:
            for at in range(0, len(data), stride):
                self._add_row(row_of(data[at : at + stride]), facts)

        return absorb

    def _add_row(self, row: ListedSocket, facts: Facts) -> None:
        self.read += 1
        if row_matches(row, self._terms, facts):
            self.matching += 1
            self._top.add(row_key(row, self._sort, self._owner_of), row)

    def _dump_unix(self, place: Place, facts: Facts) -> Incremental[None]:
        """Read unix sockets twice: the first time for the names of those that are peers of others."""
        names: dict[int, str] = {}

        def absorb_names(data: bytes, stride: int) -> None:
            for at in range(0, len(data), stride):
                row = unix_row(data[at : at + stride], place, {})
                if row.local and row.peer and len(names) < MAX_NAMES:
                    names[row.key.inode] = row.local

        yield from sock_diag.unix(place.diag, _ANY_STATE, _UNIX_SHOW, absorb_names)
        absorb = self._rows_handler(lambda message: unix_row(message, place, names), facts)
        yield from sock_diag.unix(place.diag, _ANY_STATE, _UNIX_SHOW, absorb)
