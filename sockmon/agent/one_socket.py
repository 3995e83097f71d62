"""Answers to a SocketQuery: one socket by an exact query, its holders, and its other end on this host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.part import read_or_missing
from sockmon.agent.sampler import Sampler, boottime
from sockmon.agent.socket_list import place_of
from sockmon.errors import ReadError
from sockmon.kernel.cgroups.cgroup_by_id import find_path
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.kernel.sockets.listing import exact
from sockmon.kernel.sockets.listing.entries import Place, inet_row, packet_row, unix_row
from sockmon.kernel.sockets.listing.socket_facts import inet_facts, packet_facts, unix_facts
from sockmon.kernel.sockets.sock_diag import TextDiag
from sockmon.model.snapshot import Missing, Owner
from sockmon.model.socket_detail import PeerSocket, SocketDetail, SocketFacts, SocketQuery
from sockmon.model.socket_list import PACKET, TCP, UNIX, ListedSocket, SocketKey

_WITHOUT_PEER = ("LISTEN", "CLOSE")


class _Found(NamedTuple):
    """A socket, and what its message tells."""

    row: ListedSocket
    facts: SocketFacts


def answer_socket(sampler: Sampler, query: SocketQuery) -> Incremental[SocketDetail]:
    """Return all about one socket; what could not be read is in its `missing`."""
    missing: list[Missing] = []
    netns = sampler.sampler_of(query.key.netns)
    found = None
    if netns is None:
        missing.append(Missing("socket", "its network namespace is not watched, or is gone"))
    else:
        try:
            found = yield from _find(place_of(sampler, netns), query.key)
        except ReadError as error:
            missing.append(Missing("socket", error.message))
    if found is None:
        return SocketDetail(boottime(), query, None, SocketFacts(), (), None, tuple(missing))
    peer = yield from _peer(sampler, found.row, missing)
    inodes = {row.key.inode for row in (found.row, peer) if row and row.key.inode}
    holders = yield from _holders(sampler, inodes, missing)
    mine = holders.get(found.row.key.inode, ())
    facts = yield from _with_cgroup(sampler, found.facts, mine)
    return SocketDetail(
        at=boottime(),
        query=query,
        socket=replace(found.row, owner=mine[0] if mine else None),
        facts=facts,
        holders=mine,
        peer=_peer_socket(peer, holders),
        missing=tuple(missing),
    )


def _find(place: Place, key: SocketKey) -> Incremental[_Found | None]:
    message = yield from exact.find(place, key)
    return _to_found(message, place, key.protocol) if message is not None else None


def _to_found(message: bytes, place: Place, protocol: str) -> _Found:
    if protocol == UNIX:
        return _Found(unix_row(message, place, {}), unix_facts(message))
    if protocol == PACKET:
        return _Found(packet_row(message, place), packet_facts(message, place))
    return _Found(inet_row(protocol, message, place), inet_facts(message, place))


def _peer(sampler: Sampler, row: ListedSocket, missing: list[Missing]) -> Incremental[ListedSocket | None]:
    """Return the other end, if one of the watched namespaces has it; its own is asked first."""
    key = row.key
    if not (key.protocol == UNIX and row.peer) and not (key.protocol == TCP and row.state not in _WITHOUT_PEER):
        return None
    namespaces = sorted(sampler.netns, key=lambda item: item.handle.inode != key.netns)
    if key.protocol == TCP and _is_loopback(key.destination):
        namespaces = namespaces[:1]
    for netns in namespaces:
        found = read_or_missing(missing, "peer", lambda netns=netns: _peer_in(sampler, netns, row))  # type: ignore[misc]
        if found is not None:
            return found
        yield
    return None


def _peer_in(sampler: Sampler, netns: NetnsSampler, row: ListedSocket) -> ListedSocket | None:
    place = place_of(sampler, netns, exact=True)
    diag = place.exact
    if isinstance(diag, TextDiag):
        return None
    if row.key.protocol == UNIX:
        message = exact.find_unix(diag, row.peer)
        return unix_row(message, place, {}) if message else None
    family, identity = exact.peer_identity(row.key)
    message = exact.look_up(diag, TCP, identity, family)
    if message is None or not exact.are_ends_of_one(message, row.key):
        return None
    other = inet_row(TCP, message, place)
    # A connection of a socket with itself has one end.
    return other if other.key.cookie != row.key.cookie else None


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.removeprefix("::ffff:").startswith("127.")


def _holders(
    sampler: Sampler, inodes: set[int], missing: list[Missing]
) -> Incremental[dict[int, tuple[Owner, ...]]]:
    try:
        yield from sampler.owners.search(inodes, sampler.processes.rows())
    except ReadError as error:
        missing.append(Missing(error.reader, error.message))
    return sampler.owners.holders_of(inodes)


def _peer_socket(peer: ListedSocket | None, holders: dict[int, tuple[Owner, ...]]) -> PeerSocket | None:
    if peer is None:
        return None
    held = holders.get(peer.key.inode, ())
    return PeerSocket(replace(peer, owner=held[0] if held else None), held)


def _with_cgroup(sampler: Sampler, facts: SocketFacts, holders: Sequence[Owner]) -> Incremental[SocketFacts]:
    if facts.cgroup_id is None:
        return facts
    likely = ""
    for owner in holders[:1]:
        try:
            text = proc_files.read(f"{owner.pid}/cgroup", sampler.table.proc)
        except OSError:
            continue
        lines = (line[3:] for line in text.decode("utf-8", "surrogateescape").splitlines() if line[:3] == "0::")
        likely = next(lines, "")
    path = yield from find_path(facts.cgroup_id, likely)
    return replace(facts, cgroup=path)
