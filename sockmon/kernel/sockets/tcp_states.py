"""TCP sockets by state, exact for any number: counters for the large states, one masked dump for the rare ones."""

from __future__ import annotations

import socket
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import compress
from operator import is_not

from sockmon.kernel.netlink import Incremental
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.sock_diag import (
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT1,
    FIN_WAIT2,
    LAST_ACK,
    LISTEN,
    STATES,
    SYN_RECV,
    TIME_WAIT,
    Diag,
)
from sockmon.model.snapshot import HalfOpen, Listener, OrphanGroup, Sockstat, StateCount

MAX_CLOSE_WAIT_INODES = 100_000
"""Inodes of sockets in CLOSE_WAIT that are kept at most."""
MAX_HALF_OPEN = 20
"""Addresses with sockets in SYN_RECV that are listed at most."""

MAX_ORPHAN_GROUPS = 20
"""Local ports and peers with orphans that are listed at most."""

_ORPHANED = (FIN_WAIT1, LAST_ACK, CLOSING)
_LARGE = 1 << ESTABLISHED | 1 << TIME_WAIT | 1 << LISTEN
_V4, _V6 = int(socket.AF_INET), int(socket.AF_INET6)


@dataclass(frozen=True)
class RareStates:
    """The result of the masked dump: every state but ESTABLISHED, TIME_WAIT and LISTEN."""

    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Sockets by (family, state number)."""
    minisockets: Counter[int] = field(default_factory=Counter)
    """FIN_WAIT2 sockets without an owner, by family: in `counts` too, and in sockstat's `tw`, not its `inuse`."""
    close_wait: array[int] = field(default_factory=lambda: array("Q"))
    """Inodes of sockets in CLOSE_WAIT that a process holds, at most MAX_CLOSE_WAIT_INODES."""
    requests: Counter[bytes] = field(default_factory=Counter)
    """Sockets in SYN_RECV by family, local port and local address, as they lie in the message."""

    orphans: Counter[bytes] = field(default_factory=Counter)
    """Sockets that no process holds and whose FIN is not acknowledged, by family, local port and peer."""
    orphan_bytes: Counter[bytes] = field(default_factory=Counter)
    """Bytes in the send queues of those."""

    @property
    def orphan_groups(self) -> tuple[OrphanGroup, ...]:
        """The local ports and peers with the most orphans."""
        return tuple(
            OrphanGroup(int.from_bytes(key[1:3], "big"), _address(key), count, self.orphan_bytes[key])
            for key, count in self.orphans.most_common(MAX_ORPHAN_GROUPS)
        )

    @property
    def half_open(self) -> tuple[HalfOpen, ...]:
        """The local addresses with the most sockets in SYN_RECV."""
        return tuple(
            HalfOpen(_address(key), int.from_bytes(key[1:3], "big"), count)
            for key, count in self.requests.most_common(MAX_HALF_OPEN)
        )

    @property
    def capped(self) -> bool:
        """Whether there may be more sockets in CLOSE_WAIT than `close_wait` lists."""
        return len(self.close_wait) >= MAX_CLOSE_WAIT_INODES


class CloseWaitSockets:
    """The sockets in CLOSE_WAIT of several network namespaces together."""

    def __init__(self) -> None:
        self._dumps: list[RareStates] = []
        self._inodes: array[int] | None = None

    def of(self, dumps: list[RareStates]) -> array[int] | None:
        """Return their inodes, the same object for the same dumps; None without a dump."""
        if len(dumps) != len(self._dumps) or any(map(is_not, dumps, self._dumps)):
            inodes = array("Q")
            for dump in dumps:
                inodes.extend(dump.close_wait)
            self._dumps, self._inodes = dumps, inodes if dumps else None
        return self._inodes


def count_states(diag: Diag) -> Incremental[RareStates]:
    """Return the number of sockets in the rare states by family; raise ReadError.

    In the kernel this walks every bucket of the host's hash, including those of other namespaces."""
    rare = RareStates()

    def absorb(block: bytes, stride: int) -> None:
        counts = sock_diag.state_counts(block, stride)
        rare.counts.update(counts)
        if any((family, FIN_WAIT2) in counts for family in (_V4, _V6)):
            rare.minisockets.update(_minisockets(block, stride))
        if any((family, SYN_RECV) in counts for family in (_V4, _V6)):
            rare.requests.update(_requests(block, stride))
        if any((family, state) in counts for family in (_V4, _V6) for state in _ORPHANED):
            _add_orphans(rare, block, stride)
        room = MAX_CLOSE_WAIT_INODES - len(rare.close_wait)
        if room and any((family, CLOSE_WAIT) in counts for family in (_V4, _V6)):
            in_close_wait = map(CLOSE_WAIT.__eq__, block[sock_diag.STATE :: stride])
            found = compress(sock_diag.inodes(block, stride), in_close_wait)
            rare.close_wait.extend([inode for inode in found if inode][:room])

    yield from sock_diag.tcp(diag, sock_diag.EVERY_STATE & ~_LARGE, absorb)
    return rare


def _requests(block: bytes, stride: int) -> list[bytes]:
    """Return family, local port and local address of every socket of the block in SYN_RECV."""
    states = block[sock_diag.STATE :: stride]
    return [
        block[at + sock_diag.FAMILY : at + sock_diag.FAMILY + 1]
        + block[at + sock_diag.SPORT : at + sock_diag.SPORT + 2]
        + block[at + sock_diag.SRC : at + sock_diag.SRC + 16]
        for at in compress(range(0, len(block), stride), map(SYN_RECV.__eq__, states))
    ]


def _add_orphans(rare: RareStates, block: bytes, stride: int) -> None:
    """Count the sockets of the block that no process holds and whose FIN is not acknowledged."""
    states, held = block[sock_diag.STATE :: stride], sock_diag.inodes(block, stride)
    orphaned = [state in _ORPHANED and not inode for state, inode in zip(states, held, strict=True)]
    for at in compress(range(0, len(block), stride), orphaned):
        key = (
            block[at + sock_diag.FAMILY : at + sock_diag.FAMILY + 1]
            + block[at + sock_diag.SPORT : at + sock_diag.SPORT + 2]
            + block[at + sock_diag.DST : at + sock_diag.DST + 16]
        )
        rare.orphans[key] += 1
        rare.orphan_bytes[key] += sock_diag.QUEUES.unpack_from(block, at + sock_diag.RQUEUE)[1]


def _address(key: bytes) -> str:
    return sock_diag.format_address(key[3:7] if key[0] == _V4 else sock_diag.unmapped(key[3:]))


def _minisockets(block: bytes, stride: int) -> Counter[int]:
    """Return the sockets of the block in FIN_WAIT2 that wait on the TIME_WAIT timer, by family."""
    columns = (block[at::stride] for at in (sock_diag.FAMILY, sock_diag.STATE, sock_diag.TIMER))
    return Counter(
        family
        for family, state, timer in zip(*columns, strict=True)
        if state == FIN_WAIT2 and timer == sock_diag.TIMER_TIMEWAIT
    )


def time_wait_families(diag: Diag) -> Incremental[tuple[int, int]]:
    """Return the sockets in TIME_WAIT of AF_INET and of AF_INET6; raise ReadError. Costs a dump of all of them."""
    counts: Counter[tuple[int, int]] = Counter()

    def absorb(block: bytes, stride: int) -> None:
        counts.update(sock_diag.state_counts(block, stride))

    yield from sock_diag.tcp(diag, 1 << TIME_WAIT, absorb)
    return counts[_V4, TIME_WAIT], counts[_V6, TIME_WAIT]


def states(
    rare: RareStates,
    sockstat: Sockstat,
    curr_estab: int,
    listeners: Iterable[Listener],
    time_wait: tuple[int, int] | None = None,
) -> dict[str, StateCount]:
    """Return the exact table of TCP states, by the kernel's names, without a dump of the large states.

    `curr_estab` is `Tcp: CurrEstab` (ESTABLISHED and CLOSE_WAIT), `time_wait` the result of `time_wait_families`;
    without it TIME_WAIT has no families. The parts are read one after another, so a negative difference is a race
    and counts as 0."""
    table = {name: _count(rare.counts[_V4, number], rare.counts[_V6, number]) for number, name in STATES.items()}
    table["LISTEN"] = _listening(listeners)
    total = max(0, curr_estab - table["CLOSE_WAIT"].total)
    v4 = _established(_V4, rare, sockstat.tcp_inuse, table["LISTEN"].v4)
    v6 = _established(_V6, rare, sockstat.tcp6_inuse, table["LISTEN"].v6)
    table["ESTABLISHED"] = StateCount(total, v4, v6)
    waiting = max(0, sockstat.time_wait - rare.minisockets.total())
    table["TIME_WAIT"] = StateCount(waiting, *(time_wait or (None, None)))
    return table


def _count(v4: int, v6: int) -> StateCount:
    return StateCount(v4 + v6, v4, v6)


def _listening(listeners: Iterable[Listener]) -> StateCount:
    families = Counter(":" in each.address for each in listeners if each.protocol == "tcp")
    return _count(families[False], families[True])


def _established(family: int, rare: RareStates, inuse: int | None, listening: int | None) -> int | None:
    """Return the sockets in ESTABLISHED; `inuse` counts full, hashed sockets: no TIME_WAIT, no minisocket, no
    SYN_RECV."""
    if inuse is None:
        return None
    others = sum(count for (found, state), count in rare.counts.items() if found == family and state != SYN_RECV)
    return max(0, inuse - others + rare.minisockets[family] - (listening or 0))
