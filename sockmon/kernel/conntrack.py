"""Connection tracking of one namespace: /proc/sys/net/netfilter, /proc/net/stat/nf_conntrack, and ctnetlink.

Every user may read how full the table is; what is in it needs CAP_NET_ADMIN. Nothing here loads the module: a
namespace without it is NotPresent.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel import sysctl
from sockmon.kernel.integers import parse_integer
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import BlockHandler, Incremental, attribute_slots, dump, split_alike
from sockmon.kernel.stat_file import parse_columns
from sockmon.model.snapshot import Conntrack

_READER, _TABLE_READER = "conntrack", "conntrack table"
_NOT_LOADED = "nf_conntrack is not loaded"
GET = 0x0101  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET
ANY_FAMILY = struct.pack("=BBH", 0, 0, 0)  # struct nfgenmsg
MESSAGE = 20
"""struct nlmsghdr and struct nfgenmsg: where the attributes of an entry start."""
_SEEN_REPLY = 0x02  # IPS_SEEN_REPLY
_TUPLE_ORIG, _STATUS, _PROTOINFO = 1, 3, 4
_TUPLE_PROTO, _PROTO_NUM, _PROTOINFO_TCP, _TCP_STATE = 2, 1, 1, 1
_TCP = 6

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}
"""Names of protocols by number; another one is shown as `protocol 50`."""
TCP_STATES = (
    *("NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT"),
    *("LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"),
)
"""enum tcp_conntrack of include/uapi/linux/netfilter/nf_conntrack_tcp.h: not the states of a socket."""

_NO_STATE = 255
EntryKind = tuple[int, int, int]
"""Protocol, low byte of the status, TCP state or 255."""


class _Layout(NamedTuple):
    """Where the three bytes of EntryKind are in an entry, and the attributes that decide that."""

    slots: tuple[tuple[int, int], ...]
    protocol: int
    status: int
    state: int | None


class Table(NamedTuple):
    """What is in the table."""

    entries: dict[str, int]
    """Entries by protocol and, for TCP, state: `tcp ESTABLISHED`, `udp`; `tcp OFFLOAD` is in a flowtable."""
    unreplied: int
    """Entries without a packet in the reply direction."""


def read(handle: NetnsHandle) -> Conntrack:
    """Return the number of entries, its limit and the statistics; raise NotPresent or ReadError. Without a rule
    that tracks connections there are 0 entries, which means "not tracking", not "empty"."""
    try:
        count, maximum, buckets = (
            parse_integer(sysctl.read(handle, f"net.netfilter.nf_conntrack_{name}"))
            for name in ("count", "max", "buckets")
        )
    except NotPresent:
        raise NotPresent(_READER, _NOT_LOADED) from None
    except ValueError:
        raise ReadError(_READER, "count, max and buckets are not numbers") from None
    try:
        stats = parse_stats(handle.read("net/stat/nf_conntrack"))
    except NotPresent:
        stats = {}
    return Conntrack(count, maximum, buckets, stats)


def parse_stats(text: bytes) -> dict[str, int]:
    """Return /proc/net/stat/nf_conntrack summed over processors, by the names in its first line, without
    `entries`, which is the same on each line; raise ReadError."""
    columns = parse_columns(text, "nf_conntrack", _READER)
    return {name: sum(values) for name, values in columns.items() if name != "entries"}


def dump_entries(handle: NetnsHandle, reader: str, body: bytes, absorb: BlockHandler) -> Incremental[None]:
    """Dump the entries that ctnetlink selects by `body`; raise ReadError, NotPresent if the module is not loaded,
    Forbidden without CAP_NET_ADMIN in the user namespace that owns this one."""
    try:
        yield from dump(handle.conntrack, reader, GET, body, absorb, MESSAGE)
    except NotPresent:
        raise NotPresent(reader, _NOT_LOADED) from None
    except Forbidden:
        raise Forbidden(reader, "needs CAP_NET_ADMIN", "run sockmon with sudo") from None


def read_table(handle: NetnsHandle) -> Incremental[Table]:
    """Return the number of entries by protocol and state, as `dump_entries`; an entry costs the kernel 2 µs."""
    found: Counter[EntryKind] = Counter()

    def absorb(messages: bytes, length: int) -> None:
        found.update(_entry_kinds(messages, length))

    yield from dump_entries(handle, _TABLE_READER, ANY_FAMILY, absorb)
    return _to_table(found)


def _entry_kinds(messages: bytes, length: int) -> Iterator[EntryKind]:
    """Yield EntryKind of each message, in any order: from three columns of bytes for all that have one layout."""
    while messages:
        layout = _layout(messages[:length])
        alike, messages = split_alike(messages, length, layout.slots)
        protocols, statuses = alike[layout.protocol :: length], alike[layout.status :: length]
        states = bytes([_NO_STATE]) * len(protocols) if layout.state is None else alike[layout.state :: length]
        yield from zip(protocols, statuses, states, strict=True)


def _layout(message: bytes) -> _Layout:
    """Find the attributes of one entry, as ctnetlink_fill_info() of net/netfilter/nf_conntrack_netlink.c writes
    them."""

    def inside(slots: dict[int, tuple[int, int]], kind: int) -> dict[int, tuple[int, int]]:
        return attribute_slots(message, *slots.get(kind, (0, 0)), _TABLE_READER)

    top = attribute_slots(message, MESSAGE, len(message), _TABLE_READER)
    original = inside(top, _TUPLE_ORIG)
    protocol = inside(original, _TUPLE_PROTO)
    info = inside(top, _PROTOINFO)
    tcp = inside(info, _PROTOINFO_TCP)
    status_at, status_end = top.get(_STATUS, (0, 0))
    number = _first_byte(protocol, _PROTO_NUM)
    if number is None or status_end - status_at != 4:
        raise ReadError(_TABLE_READER, "an entry has no protocol or no status")
    slots = tuple(slot for found in (top, original, protocol, info, tcp) for slot in found.values())
    return _Layout(slots, number, status_at + 3, _first_byte(tcp, _TCP_STATE))


def _first_byte(slots: dict[int, tuple[int, int]], kind: int) -> int | None:
    begin, end = slots.get(kind, (0, 0))
    return begin if begin < end else None


def _to_table(found: Counter[EntryKind]) -> Table:
    entries: Counter[str] = Counter()
    unreplied = 0
    for (protocol, status, state), count in found.items():
        entries[_kind_name(protocol, state)] += count
        if not status & _SEEN_REPLY:
            unreplied += count
    return Table(dict(entries), unreplied)


def _kind_name(protocol: int, state: int) -> str:
    name = PROTOCOLS.get(protocol, f"protocol {protocol}")
    if protocol != _TCP:
        return name
    if state == _NO_STATE:
        return f"{name} OFFLOAD"
    return f"{name} {TCP_STATES[state]}" if state < len(TCP_STATES) else f"{name} state {state}"
