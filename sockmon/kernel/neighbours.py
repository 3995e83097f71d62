"""/proc/net/stat/arp_cache and ndisc_cache: the neighbour tables of IPv4 and IPv6, which all namespaces share.

Names over hexadecimal values, a line a processor (neigh_stat_seq_show() of net/core/neighbour.c). The files exist
in the initial network namespace alone, as do the limits, net.*.neigh.default.gc_thresh1 to 3.

`entries` has permanent ones in it, which are not held against the limit (neigh_alloc()); how many there are only a
dump of the table tells, and that of one network namespace.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from sockmon.errors import Absent, Unreadable
from sockmon.kernel.netlink import ROUTE, Steps, dump, open_netlink
from sockmon.model.snapshot import Neighbours

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

TABLES = ("arp_cache", "ndisc_cache")
FILES = tuple(f"net/stat/{table}" for table in TABLES)
MANY = 256
"""Entries of a table from which on the permanent ones are counted; the default limit is four times as high."""
_READER = "neighbours"
_FAMILIES = {"arp_cache": socket.AF_INET, "ndisc_cache": socket.AF_INET6}
_GET = 30  # RTM_GETNEIGH
_STATE, _FLAGS, _LEAST = 24, 26, 28  # of struct ndmsg, behind struct nlmsghdr
_LOW = 0 if sys.byteorder == "little" else 1
_PERMANENT, _LEARNED = 0x80, 0x10  # NUD_PERMANENT, NTF_EXT_LEARNED


def read(door: Door) -> tuple[Neighbours, ...]:
    """The tables that there are (a kernel without IPv6 has one); raises Absent where none is shown, Unreadable."""
    found = []
    for table, file in zip(TABLES, FILES, strict=True):
        try:
            found.append(parse(table, door.read(file)))
        except Absent:
            continue
    if not found:
        raise Absent(_READER, "the tables are visible in the initial network namespace only")
    return tuple(found)


class Permanent:
    """Counts the entries of our own namespace that do not count against the limit."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None
        with suppress(OSError):
            self._netlink = open_netlink(ROUTE)

    def close(self) -> None:
        """Close the socket; safe to call twice."""
        if self._netlink is not None:
            self._netlink.close()

    def steps(self, door: Door) -> Steps[dict[str, int]]:
        """How many there are in each table that has MANY entries; raises Absent, Unreadable."""
        found = {}
        for table in read(door):
            if table.entries >= MANY:
                found[table.table] = yield from self._count(_FAMILIES[table.table])
        return found

    def _count(self, family: int) -> Steps[int]:
        if self._netlink is None:
            raise Unreadable(_READER, "no netlink socket could be opened")
        found: Counter[bool] = Counter()

        def absorb(block: bytes, stride: int) -> None:
            states, flags = block[_STATE + _LOW :: stride], block[_FLAGS::stride]
            found.update(
                bool(state & _PERMANENT or flag & _LEARNED) for state, flag in zip(states, flags, strict=True)
            )

        yield from dump(self._netlink, _READER, _GET, struct.pack("=BxxxiHBB", family, 0, 0, 0, 0), absorb, _LEAST)
        return found[True]


def parse(table: str, text: bytes) -> Neighbours:
    """`entries` is the table's, the same on each line; `table_fulls` is a processor's own. Raises Unreadable."""
    header, *rows = [line.split() for line in text.splitlines()] or [[]]
    if not rows or any(len(row) != len(header) for row in rows) or b"entries" not in header:
        raise Unreadable(_READER, f"{table} is not a table with entries")
    try:
        entries = int(rows[0][header.index(b"entries")], 16)
        fulls = [int(row[header.index(b"table_fulls")], 16) for row in rows] if b"table_fulls" in header else []
    except ValueError:
        raise Unreadable(_READER, f"{table} has a value that is not hexadecimal") from None
    return Neighbours(table, entries, sum(fulls))
