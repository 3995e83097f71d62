"""Terms compared with a block of sockets, column by column, and with single rows of those that have no columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from operator import or_
from typing import NamedTuple

from sockmon.kernel.processes.socket_index import SocketIndex
from sockmon.kernel.sockets.listing.block import RTT, TOTAL_RETRANS, Block, state_name
from sockmon.kernel.sockets.listing.values import address_test, number_test, packed, text_test
from sockmon.kernel.sockets.sock_diag import LISTEN
from sockmon.model.conntrack_flows import FlowValue, NetworkValue, PrefixValue, TextValue
from sockmon.model.socket_list import ListedSocket, SocketTerm

INFO_FIELDS = ("rtt", "retrans")
"""Fields for which a dump must contain struct tcp_info."""
OWNER_FIELDS = ("proc", "pid")
Mask = list[bool]


class Facts(NamedTuple):
    """What terms are compared with besides the message of the kernel."""

    names: tuple[str, ...]
    """Names of the namespace and of its container."""
    user: Callable[[int], str]
    holders: dict[SocketTerm, SocketIndex]
    """Sockets of the processes that a term matches."""


def block_mask(block: Block, terms: Iterable[SocketTerm], facts: Facts) -> Mask:
    """Return for every socket of a block whether it matches all terms."""
    mask = [True] * block.count
    for term in terms:
        found = _block_matches(block, term, facts)
        mask = [kept and match is not term.negated for kept, match in zip(mask, found, strict=True)]
    return mask


def _block_matches(block: Block, term: SocketTerm, facts: Facts) -> Mask:
    field = term.field
    if not field:
        return _word_matches(block, term, facts)
    if field in ("proto", "ct"):
        return [_names_match(block, term, facts)] * block.count
    if field == "state":
        return _states_match(block, term)
    if field in ("src", "dst"):
        return list(map(address_test(term.values), block.addresses(field == "dst")))
    if field in OWNER_FIELDS:
        return list(map(facts.holders[term].__contains__, block.inodes))
    if field == "user":
        return _users_match(block, term, facts)
    return _numbers_match(block, term)


def _names_match(block: Block, term: SocketTerm, facts: Facts) -> bool:
    test = text_test(term.values)
    return (term.field != "ct" and test(block.protocol)) or (term.field != "proto" and any(map(test, facts.names)))


def _states_match(block: Block, term: SocketTerm) -> Mask:
    test = text_test(term.values)
    known = {state: test(state_name(block.protocol, state)) for state in set(block.states)}
    return [known[state] for state in block.states]


def _users_match(block: Block, term: SocketTerm, facts: Facts) -> Mask:
    known = {user: user is not None and _user_matches(term, user, facts) for user in set(block.users)}
    return [known[user] for user in block.users]


def _word_matches(block: Block, term: SocketTerm, facts: Facts) -> Mask:
    """Return for every socket whether any text of its row has the word, or the process that holds it."""
    if _names_match(block, term, facts):
        return [True] * block.count
    words = [value.text for value in term.values if isinstance(value, TextValue)]
    texts = map("\n".join, zip(block.endpoints(remote=False), block.endpoints(remote=True), strict=True))
    held = map(facts.holders[term].__contains__, block.inodes) if facts.holders[term] else repeat(False)
    columns = (_states_match(block, term), _users_match(block, term, facts), held)
    return [
        any(facts_) or any(word in text for word in words) for text, *facts_ in zip(texts, *columns, strict=False)
    ]


def _numbers_match(block: Block, term: SocketTerm) -> Mask:
    test = number_test(term.values)
    if term.field == "q":
        sent = [
            0 if state == LISTEN else size for state, size in zip(block.states, block.send_queues, strict=True)
        ]
        return list(map(or_, map(test, block.recv_queues), map(test, sent)))
    if term.field == "port":
        return list(map(or_, map(test, block.local_ports), map(test, block.remote_ports)))
    columns: dict[str, Callable[[], Sequence[int | None]]] = {
        "sport": lambda: block.local_ports,
        "dport": lambda: block.remote_ports,
        "recvq": lambda: block.recv_queues,
        "sendq": lambda: block.send_queues,
        "rtt": lambda: [rtt or None for rtt in block.info(RTT)],
        "retrans": lambda: block.info(TOTAL_RETRANS),
    }
    return list(map(test, columns[term.field]()))


def _user_matches(term: SocketTerm, user: int, facts: Facts) -> bool:
    test = text_test(term.values)
    return test(facts.user(user)) or test(str(user))


def row_matches(row: ListedSocket, terms: Iterable[SocketTerm], facts: Facts) -> bool:
    """Return whether a row matches all terms."""
    return all(_row_matches(row, term, facts) is not term.negated for term in terms)


def _row_matches(row: ListedSocket, term: SocketTerm, facts: Facts) -> bool:
    field, key = term.field, row.key
    if field in ("", "proto", "state", "ct"):
        return any(map(text_test(term.values), _texts(row, field, facts))) or (
            not field and term in facts.holders and key.inode in facts.holders[term]
        )
    if field in OWNER_FIELDS:
        return key.inode in facts.holders[term]
    if field == "user":
        return row.uid is not None and _user_matches(term, row.uid, facts)
    if field in ("src", "dst"):
        return _address_matches(row, term)
    return any(map(number_test(term.values), _numbers(row, field)))


def _address_matches(row: ListedSocket, term: SocketTerm) -> bool:
    address = packed(row.key.source if term.field == "src" else row.key.destination)
    if address:
        return address_test(term.values)(address)
    return text_test(term.values)(row.local if term.field == "src" else row.remote)


def _texts(row: ListedSocket, field: str, facts: Facts) -> Iterator[str]:
    if field in ("", "state"):
        yield row.state
    if field in ("", "proto"):
        yield row.key.protocol
    if field in ("", "ct"):
        yield from facts.names
    if not field:
        yield row.local
        yield row.remote
        if row.uid is not None:
            yield facts.user(row.uid)


def _numbers(row: ListedSocket, field: str) -> tuple[int | None, ...]:
    key, inet = row.key, bool(row.key.source)
    ends = (key.source_port, key.destination_port) if inet else ()
    listens = row.state == "LISTEN"
    known: dict[str, tuple[int | None, ...]] = {
        "port": ends,
        "sport": ends[:1],
        "dport": ends[1:],
        "recvq": (row.recv_queue,),
        "sendq": (row.send_queue,),
        "q": (row.recv_queue, None if listens else row.send_queue),
    }
    return known.get(field, ())


def never_inet(terms: Iterable[SocketTerm]) -> bool:
    """Return whether the terms rule out every socket with an IP address: they ask for a path or abstract name."""
    return any(
        term.field in ("src", "dst") and not term.negated and all(map(_is_path, term.values)) for term in terms
    )


def _is_path(value: FlowValue) -> bool:
    beginning = value.text if isinstance(value, PrefixValue) else ""
    return beginning[:1] in ("/", "@") and bool(beginning)


def never_without_ports(terms: Iterable[SocketTerm]) -> bool:
    """Return whether the terms rule out every socket without IP address and port: unix and packet."""
    return any(not term.negated and _is_of_inet(term) for term in terms)


def _is_of_inet(term: SocketTerm) -> bool:
    if term.field in ("src", "dst"):
        return all(isinstance(value, NetworkValue) for value in term.values)
    return term.field in ("sport", "dport", "port", *INFO_FIELDS)
