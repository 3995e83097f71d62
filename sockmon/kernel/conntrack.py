"""Connection tracking of one namespace: /proc/sys/net/netfilter, /proc/net/stat/nf_conntrack, and ctnetlink.

Everyone may read how full the table is; what is in it needs CAP_NET_ADMIN. Nothing here loads the module: a
namespace without it is Absent.
"""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from sockmon.errors import Absent, Unreadable
from sockmon.kernel import sysctl
from sockmon.kernel.netlink import ATTRIBUTE, Steps, dump
from sockmon.model.snapshot import Conntrack

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

_READER = "conntrack"
_NOT_LOADED = "nf_conntrack is not loaded"
GET = 0x0101  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET
ANY_FAMILY = struct.pack("=BBH", 0, 0, 0)  # struct nfgenmsg
_SMALLEST = 20
_SEEN_REPLY = 0x02  # IPS_SEEN_REPLY
_TUPLE_ORIG, _STATUS, _PROTOINFO = 1, 3, 4
_TUPLE_PROTO, _PROTO_NUM, _PROTOINFO_TCP, _TCP_STATE = 2, 1, 1, 1
_TCP = 6

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}
"""Protocols by number that are called by name; another one is `protocol 50`."""
TCP_STATES = (
    *("NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT"),
    *("LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"),
)
"""enum tcp_conntrack of include/uapi/linux/netfilter/nf_conntrack_tcp.h: not the states of a socket."""

_NO_STATE = 255
Found = tuple[int, int, int]
"""Protocol, low byte of the status, TCP state or 255."""


class _Layout(NamedTuple):
    """Where the three bytes of Found are in an entry, and the attribute headers that lead there."""

    headers: tuple[int, ...]
    protocol: int
    status: int
    state: int | None


class Table(NamedTuple):
    """What is in the table."""

    entries: dict[str, int]
    """By protocol and, for TCP, state: `tcp ESTABLISHED`, `udp`; `tcp OFFLOAD` is with a flowtable."""
    unreplied: int
    """Entries that no packet has come back for."""


def gauge(door: Door) -> Conntrack:
    """How full the table is, and what became of packets; raises Absent, Unreadable. Zero entries where no rule
    tracks: that is "not tracking", not "empty"."""
    try:
        count, maximum, buckets = (
            int(sysctl.read(door, f"net.netfilter.nf_conntrack_{name}")) for name in ("count", "max", "buckets")
        )
    except Absent:
        raise Absent(_READER, _NOT_LOADED) from None
    except ValueError:
        raise Unreadable(_READER, "count, max and buckets are not numbers") from None
    try:
        stats = parse_stats(door.read("net/stat/nf_conntrack"))
    except Absent:
        stats = {}
    return Conntrack(count, maximum, buckets, stats)


def parse_stats(text: bytes) -> dict[str, int]:
    """/proc/net/stat/nf_conntrack summed over processors, by the names in its first line; `entries`, which every
    line repeats, is left out."""
    header, *rows = [line.split() for line in text.splitlines()] or [[]]
    if not header or not rows or any(len(row) != len(header) for row in rows):
        raise Unreadable(_READER, "its statistics are not a table")
    try:
        sums = [sum(int(value, 16) for value in column) for column in zip(*rows, strict=True)]
    except ValueError:
        raise Unreadable(_READER, "its statistics are not hexadecimal numbers") from None
    names = [name.decode("ascii", "replace") for name in header]
    return {name: total for name, total in zip(names, sums, strict=True) if name != "entries"}


def table(door: Door) -> Steps[Table]:
    """Count the entries by protocol and state: 2 µs for each in the kernel, in steps of some 100 entries.

    Raises Unreadable: without CAP_NET_ADMIN in the namespace's owner, or with no socket for it.
    """
    found: Counter[Found] = Counter()

    def absorb(messages: bytes, length: int) -> None:
        found.update(_columns(messages, length))

    try:
        yield from dump(door.conntrack, "conntrack table", GET, ANY_FAMILY, absorb, _SMALLEST)
    except Absent:
        raise Absent("conntrack table", _NOT_LOADED) from None
    except Unreadable as error:
        if "EPERM" not in error.message:
            raise
        raise Unreadable(error.reader, "needs CAP_NET_ADMIN", "run sockmon with sudo") from None
    return _counted(found)


def _columns(messages: bytes, length: int) -> Iterable[Found]:
    """Found of each message: a column of bytes each where all are built like the first, else one by one."""
    layout = _layout(messages[:length])
    count = len(messages) // length
    for header in layout.headers:
        for column in (messages[header::length], messages[header + 2 :: length]):
            if column.count(column[0]) != count:
                return itertools.chain.from_iterable(
                    _columns(messages[at : at + length], length) for at in range(0, len(messages), length)
                )
    return zip(
        messages[layout.protocol :: length],
        messages[layout.status :: length],
        bytes([_NO_STATE]) * count if layout.state is None else messages[layout.state :: length],
        strict=True,
    )


def _layout(message: bytes) -> _Layout:
    """Walk one entry, as ctnetlink_fill_info() of net/netfilter/nf_conntrack_netlink.c builds it."""
    headers: dict[int, None] = {}
    whole = (_SMALLEST, len(message))
    original = _find(message, whole, _TUPLE_ORIG, headers)
    protocol = _find(message, _find(message, original, _TUPLE_PROTO, headers), _PROTO_NUM, headers)
    status = _find(message, whole, _STATUS, headers)
    if protocol is None or status is None or status[1] - status[0] != 4:
        raise Unreadable("conntrack table", "an entry has no protocol or no status")
    info = _find(message, _find(message, whole, _PROTOINFO, headers), _PROTOINFO_TCP, headers)
    state = _find(message, info, _TCP_STATE, headers)
    return _Layout(tuple(headers), protocol[0], status[0] + 3, state[0] if state else None)


def _find(
    message: bytes, within: tuple[int, int] | None, kind: int, headers: dict[int, None]
) -> tuple[int, int] | None:
    """Start and end of the payload of attribute `kind`; notes the headers that were passed on the way."""
    at, end = within or (0, 0)
    while end - at >= 4:
        length, found = ATTRIBUTE.unpack_from(message, at)
        if length < 4 or length > end - at:
            raise Unreadable("conntrack table", f"an attribute of {length} bytes where {end - at} are left")
        headers[at] = None
        # The top bits are flags: NLA_F_NESTED, NLA_F_NET_BYTEORDER.
        if found & 0x3FFF == kind:
            return (at + 4, at + length) if length > 4 else None
        at += (length + 3) & ~3
    return None


def _counted(found: Counter[Found]) -> Table:
    entries: Counter[str] = Counter()
    unreplied = 0
    for (protocol, status, state), count in found.items():
        entries[_title(protocol, state)] += count
        if not status & _SEEN_REPLY:
            unreplied += count
    return Table(dict(entries), unreplied)


def _title(protocol: int, state: int) -> str:
    name = PROTOCOLS.get(protocol, f"protocol {protocol}")
    if protocol != _TCP:
        return name
    if state == _NO_STATE:
        return f"{name} OFFLOAD"
    return f"{name} {TCP_STATES[state]}" if state < len(TCP_STATES) else f"{name} state {state}"
