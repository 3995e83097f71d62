"""Which parts of a network namespace have to be dumped: where the cheap numbers do not prove that no limit is
near."""

from __future__ import annotations

from collections.abc import Mapping

from sockmon.agent.cheap_parts import CheapParts
from sockmon.errors import ReadError
from sockmon.kernel.sockets.port_ranges import RANGE, RESERVED, parse_reserved
from sockmon.model.snapshot import Conntrack
from sockmon.port_lists import count_in

PARTS = ("states", "ports", "udp", "snat", "queues", "datagrams")
"""Fields of a Netns that are read when they are needed, or when somebody looks."""
TABLE = "table"
"""Not a field of its own: the entries of the connection table by what fills it, the evidence of an alarm."""
SMALL = frozenset(("datagrams",))
"""Those that a visit reads itself."""
MIN_SHARE = 4
"""Ports are dumped when this part of the range may be in use: a fourth, far below the first alarm."""
MIN_TRACKED = 4096
"""Tracked connections from which on those with a translated source are counted: a rule may allow few ports."""
_PAGE = 4096
_SYN_COUNTERS = (
    "TcpExt.TCPReqQFullDrop",
    "TcpExt.TCPReqQFullDoCookies",
    "TcpExt.SyncookiesSent",
    "TcpExt.TCPSynRetrans",
    "TcpExt.ListenDrops",
)
"""One of them moves when handshakes wait in the queue of a listener, or do not fit."""
_UDP_COUNTERS = ("Udp.RcvbufErrors",)
_NAT_COUNTERS = ("drop", "insert_failed")


def needed_parts(now: CheapParts, before: CheapParts | None) -> frozenset[str]:
    """Return those of PARTS and TABLE that have to be dumped; `before` are the numbers of the last visit, None at
    first."""
    stat = now.sockstat
    if stat is None:
        return frozenset(("states", "ports", "udp", "datagrams"))
    # What is not known is not ruled out.
    needed = set() if stat.unix == 0 else {"datagrams"}
    size = _range_size(now.sysctls)
    # All sockets of the namespace: one that is only bound is in no other number.
    if MIN_SHARE * (stat.used + stat.time_wait) >= size:
        needed.add("ports")
    if any(item.protocol == "tcp" for item in now.listening.value or ()) and _moved(now, before, _SYN_COUNTERS):
        needed.add("states")
    udp = stat.udp_inuse + (stat.udp6_inuse or 0)
    if udp and (MIN_SHARE * udp >= size or _moved(now, before, _UDP_COUNTERS) or _udp_waits(now)):
        needed.add("udp")
    if (tracking := now.tracking.value) is not None and tracking.count:
        last = before.tracking.value if before else None
        moved = last is not None and any(
            tracking.stats.get(name, 0) > last.stats.get(name, 0) for name in _NAT_COUNTERS
        )
        if is_filling(tracking) or moved:
            needed.add(TABLE)
        if moved or tracking.count >= min(MIN_TRACKED, size // MIN_SHARE):
            needed.add("snat")
    return frozenset(needed)


def is_filling(table: Conntrack) -> bool:
    """Return whether the connection table is at least half full."""
    return 2 * table.count >= table.maximum > 0


def _range_size(sysctls: Mapping[str, str]) -> int:
    """Return the number of ephemeral ports without reserved ones; 0 if it is not known."""
    try:
        low, high = map(int, sysctls.get(RANGE, "").split())
        return max(high - low + 1 - count_in(parse_reserved(sysctls.get(RESERVED, "")), low, high), 0)
    except (ValueError, ReadError):
        return 0


def _udp_waits(now: CheapParts) -> bool:
    """Return whether UDP uses so much memory on the host that a receive buffer may be half full."""
    try:
        return 2 * _PAGE * now.udp_pages >= int(now.sysctls["net.core.rmem_default"])
    except (KeyError, ValueError):
        return True


def _moved(now: CheapParts, before: CheapParts | None, names: tuple[str, ...]) -> bool:
    """Return whether one of the counters increased since the visit before."""
    if before is None:
        return False
    return any(now.counters.get(name, 0) > before.counters.get(name, 0) for name in names)
