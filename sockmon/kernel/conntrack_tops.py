"""What fills the connection tracking table, counted in the one walk over it.

A walk counts five kinds of keys. Addresses of IPv4 and ports are taken as numbers in the byte order of this
machine, because whole columns of them are read at once; only those that are shown become text.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import TypeVar

from sockmon.kernel.conntrack_layout import Layout
from sockmon.kernel.conntrack_names import protocol_name
from sockmon.kernel.sockets.sock_diag import format_address
from sockmon.kernel.top_counter import Frequency, TopCounter
from sockmon.model.conntrack_flows import ASSURED, DST_NAT, SEEN_REPLY, SRC_NAT
from sockmon.model.conntrack_tops import MAX_TOPS, ConntrackTops, Top, TopRow

NO_STATE = 255
EntryKind = tuple[int, int, int]
"""Protocol, low byte of the status, TCP state or NO_STATE."""
Address = int | bytes
"""Four bytes as a number in the byte order of this machine, or 16 bytes."""
_Port = tuple[int, int]
"""Protocol, and the word that begins with the port; NO_PORT for a protocol without ports."""
_Group = tuple[Address, Address, int, int]
NO_PORT = -1
_WORD = 4
K = TypeVar("K")


class Tally:
    """Counts entries by kind, source, destination, port, group and zone."""

    def __init__(self) -> None:
        self.kinds: Counter[EntryKind] = Counter()
        self._sources: TopCounter[Address] = TopCounter()
        self._destinations: TopCounter[Address] = TopCounter()
        self._ports: TopCounter[_Port] = TopCounter()
        self._groups: TopCounter[_Group] = TopCounter()
        self._zones: TopCounter[int] = TopCounter()

    def add(self, block: bytes, length: int, layout: Layout) -> None:
        """Count the entries of a block that all have one layout and one length."""
        count = len(block) // length
        protocols, statuses = block[layout.protocol :: length], block[layout.status + 3 :: length]
        states = bytes([NO_STATE]) * count if layout.state is None else block[layout.state :: length]
        self.kinds.update(zip(protocols, statuses, states, strict=True))
        words, stride = memoryview(block).cast("I"), length // _WORD
        sources: Sequence[Address]
        destinations: Sequence[Address]
        if layout.address_bytes == _WORD:
            sources = words[layout.source // _WORD :: stride].tolist()
            destinations = words[layout.destination // _WORD :: stride].tolist()
        else:
            sources, destinations = zip(
                *_v6_pairs(layout.source, layout.destination, length).iter_unpack(block), strict=True
            )
        self._sources.add(sources)
        self._destinations.add(destinations)
        if layout.destination_port is None:
            self._groups.add(zip(sources, destinations, protocols, repeat(NO_PORT)))
        else:
            ports = words[layout.destination_port // _WORD :: stride].tolist()
            self._ports.add(zip(protocols, ports, strict=True))
            self._groups.add(zip(sources, destinations, protocols, ports, strict=True))
        if layout.zone is None:
            self._zones.add_many(0, count)
        else:
            high, low = block[layout.zone :: length], block[layout.zone + 1 :: length]
            self._zones.add(256 * first + second for first, second in zip(high, low, strict=True))

    @property
    def unreplied(self) -> int:
        """Entries without a packet in the reply direction."""
        return self.entries - self._with(SEEN_REPLY)

    @property
    def entries(self) -> int:
        """All entries."""
        return sum(self.kinds.values())

    def _with(self, bit: int) -> int:
        return sum(count for (_, status, _), count in self.kinds.items() if status & bit)

    def tops(self) -> ConntrackTops:
        """Return the largest of each kind."""
        total = self.entries
        return ConntrackTops(
            entries=total,
            sources=_top(self._sources, total, _source_row),
            destinations=_top(self._destinations, total, _destination_row),
            ports=_top(self._ports, total, _port_row),
            groups=_top(self._groups, total, _group_row),
            zones=_top(self._zones, total, _zone_row),
            assured=self._with(ASSURED),
            source_nat=self._with(SRC_NAT),
            destination_nat=self._with(DST_NAT),
        )


def _top(counter: TopCounter[K], total: int, row: Callable[[Frequency[K]], TopRow]) -> Top:
    rows = tuple(map(row, counter.most_common(MAX_TOPS)))
    return Top(rows, total - sum(each.entries for each in rows), counter.distinct)


def _source_row(found: Frequency[Address]) -> TopRow:
    key, count, missed = found
    return TopRow(count, source=_address(key), missed=missed)


def _destination_row(found: Frequency[Address]) -> TopRow:
    key, count, missed = found
    return TopRow(count, destination=_address(key), missed=missed)


def _port_row(found: Frequency[_Port]) -> TopRow:
    (protocol, port), count, missed = found
    return TopRow(count, protocol=protocol_name(protocol), port=_port(port), missed=missed)


def _group_row(found: Frequency[_Group]) -> TopRow:
    (source, destination, protocol, port), count, missed = found
    return TopRow(
        count,
        source=_address(source),
        destination=_address(destination),
        protocol=protocol_name(protocol),
        port=_port(port),
        missed=missed,
    )


def _zone_row(found: Frequency[int]) -> TopRow:
    zone, count, missed = found
    return TopRow(count, zone=zone, missed=missed)


def _address(key: Address) -> str:
    return format_address(key if isinstance(key, bytes) else key.to_bytes(_WORD, sys.byteorder))


def _port(word: int) -> int | None:
    """Return the port at the start of a word; what follows it is padding."""
    return None if word == NO_PORT else int.from_bytes(word.to_bytes(_WORD, sys.byteorder)[:2], "big")


@lru_cache(maxsize=64)
def _v6_pairs(source: int, destination: int, length: int) -> struct.Struct:
    """Return what unpacks two addresses of 16 bytes from an entry."""
    return struct.Struct(f"={source}x16s{destination - source - 16}x16s{length - destination - 16}x")
