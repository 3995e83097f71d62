"""/proc/net/stat/arp_cache and ndisc_cache: the neighbour tables of IPv4 and IPv6, which all namespaces share.

The files have names above hexadecimal values, a line for each processor (neigh_stat_seq_show() of
net/core/neighbour.c). They exist in the initial network namespace only, as do the limits,
net.*.neigh.default.gc_thresh1 to 3.

`entries` includes permanent ones, which do not count against the limit (neigh_alloc()); their number takes a dump
of the table, which shows one network namespace.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections import Counter

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental, dump
from sockmon.kernel.stat_file import parse_columns
from sockmon.model.snapshot import Neighbours

TABLES = ("arp_cache", "ndisc_cache")
FILES = tuple(f"net/stat/{table}" for table in TABLES)
MIN_ENTRIES = 256
"""Permanent entries are counted if a table has at least so many; the default limit is four times as high."""
_READER = "neighbours"
_FAMILIES = {"arp_cache": socket.AF_INET, "ndisc_cache": socket.AF_INET6}
_GET = 30  # RTM_GETNEIGH
_STATE, _FLAGS, _MESSAGE_BYTES = 24, 26, 28  # of struct ndmsg, after struct nlmsghdr
_LOW = 0 if sys.byteorder == "little" else 1
_PERMANENT, _LEARNED = 0x80, 0x10  # NUD_PERMANENT, NTF_EXT_LEARNED


def read(handle: NetnsHandle) -> tuple[Neighbours, ...]:
    """Return the tables (one on a kernel without IPv6); raise NotPresent if no table can be seen, ReadError."""
    found = []
    for table, file in zip(TABLES, FILES, strict=True):
        try:
            found.append(parse(table, handle.read(file)))
        except NotPresent:
            continue
    if not found:
        raise NotPresent(_READER, "the tables are visible in the initial network namespace only")
    return tuple(found)


def count_permanent(handle: NetnsHandle) -> Incremental[dict[str, int]]:
    """Return how many entries of this namespace do not count against the limit, for each table with at least
    MIN_ENTRIES; raise NotPresent or ReadError."""
    found = {}
    for table in read(handle):
        if table.entries >= MIN_ENTRIES:
            found[table.table] = yield from count_permanent_of(handle, _FAMILIES[table.table])
    return found


def count_permanent_of(handle: NetnsHandle, family: int) -> Incremental[int]:
    """Return the same for the table of one family; raise ReadError."""
    found: Counter[bool] = Counter()

    def absorb(block: bytes, stride: int) -> None:
        states, flags = block[_STATE + _LOW :: stride], block[_FLAGS::stride]
        found.update(
            bool(state & _PERMANENT or flag & _LEARNED) for state, flag in zip(states, flags, strict=True)
        )

    yield from dump(
        handle.route, _READER, _GET, struct.pack("=BxxxiHBB", family, 0, 0, 0, 0), absorb, _MESSAGE_BYTES
    )
    return found[True]


def parse(table: str, text: bytes) -> Neighbours:
    """Return one table: `entries` is the same on each line, `table_fulls` is a count for each processor; raise
    ReadError."""
    columns = parse_columns(text, table, _READER, ("entries", "table_fulls"))
    if "entries" not in columns:
        raise ReadError(_READER, f"/proc/net/stat/{table} has no column entries")
    return Neighbours(table, columns["entries"][0], sum(columns.get("table_fulls", ())))
