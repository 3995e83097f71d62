"""Neighbour tables (ARP, NDP): one for IPv4 and one for IPv6, shared by every network namespace of the host."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import delta_lines
from sockmon.ceilings.measuring import sysctl_number, unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.misconceptions import NEIGHBOUR_CONNECTIONS, NEIGHBOURS_OF_NAMESPACE
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Neighbours

FAMILIES = {"arp_cache": "ipv4", "ndisc_cache": "ipv6"}


def _threshold(window: Window, table: Neighbours, which: int) -> int | None:
    return sysctl_number(window.now.sysctls, _key(table, which))


def _key(table: Neighbours, which: int) -> str:
    return f"net.{FAMILIES[table.table]}.neigh.default.gc_thresh{which}"


def _neighbour_table(window: Window) -> Iterator[Measure]:
    host = window.now.host.name
    if window.now.neighbours is None:
        yield unread_measure(host, window.missing("neighbours"))
        return
    for table in window.now.neighbours:
        limit = _threshold(window, table, 3)
        yield Measure(
            host if table.table == "arp_cache" else f"{host} (IPv6)",
            table.entries,
            limit,
            effective_used=_effective_used(table, limit),
            hit=window.deltas.get(f"{table.table}.table_fulls", 0) > 0,
            unknown_reason="" if limit is not None else f"{_key(table, 3)} is not visible",
            payload=table,
        )


def _effective_used(table: Neighbours, limit: int | None) -> int | None:
    """Return the entries that count against the limit; None if all known ones do.

    Permanent entries, set by hand or by a routing daemon, do not. Those of other namespaces are hidden: only they
    can make the number exceed the limit, and how many entries count is then unknown."""
    counted = table.entries - (table.permanent or 0)
    if limit is not None and counted > limit:
        return 0
    return max(counted, 0) if table.permanent else None


def _evidence(window: Window, measure: Measure) -> list[str]:
    table = measure.payload
    assert isinstance(table, Neighbours)
    lines = [f"{table.table}: {table.entries:,} entries of all namespaces together, {_limits(window, table)}"]
    if table.permanent:
        lines.append(f"{table.permanent:,} of them are permanent, which do not count against the limit")
    elif measure.effective_used == 0:
        lines.append("more than the limit: some are permanent entries, which do not count against it")
    lines += delta_lines(window, f"{table.table}.table_fulls")
    if measure.hit:
        lines.append("new neighbours get no entry: UDP sends report success but are lost, TCP connects hang")
    return lines


def _limits(window: Window, table: Neighbours) -> str:
    values = [_threshold(window, table, which) for which in (1, 2, 3)]
    return "gc_thresh1 to 3: " + " ".join("?" if value is None else f"{value:,}" for value in values)


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    table = measure.payload
    assert isinstance(table, Neighbours)
    wanted = next_limit(max(measure.limit or 0, measure.used or 0), 4)
    text = (
        f"raise it together with gc_thresh2 = {wanted // 2} and gc_thresh1 = {wanted // 4} of"
        f" net.{FAMILIES[table.table]}, in the initial network namespace; takes effect at once"
    )
    return [
        application(
            "check what talks to so many direct neighbours (a scan, a flat network): all hosts behind one router"
            " need one entry"
        ),
        Remedy("sysctl", _key(table, 3), str(wanted), text),
    ]


NEIGHBOUR_TABLE = Ceiling(
    id="neighbour-table",
    title="neighbour table",
    unit="entries",
    scope="host",
    per="address family",
    levels=Levels(0.75, 0.90),
    consequence="when the table is full no new direct neighbour can be reached from any namespace of the host",
    measure=_neighbour_table,
    evidence=_evidence,
    hit_counters=("arp_cache.table_fulls", "ndisc_cache.table_fulls"),
    needs_movement=True,
    remedies=_remedies,
    manual=Manual(
        measurement="The hosts that are reached directly, without a router, one entry for each address and"
        " interface: `entries` in /proc/net/stat/arp_cache for IPv4 and in ndisc_cache for IPv6, all network"
        " namespaces together. Connections do not count, and all peers behind a router share the router's entry."
        " Permanent entries are part of the number, but do not count against the limit.",
        symptoms=(
            "table_fulls in /proc/net/stat/arp_cache or ndisc_cache moves",
            "the kernel logs `neighbour: arp_cache: neighbor table overflow!`",
            "sendto() of a UDP socket reports success, but no packet is sent; Ip.OutDiscards moves",
            "connect() of a TCP socket hangs",
        ),
        raise_now="Run sysctl -w for gc_thresh3, gc_thresh2 and gc_thresh1 in the initial network namespace, in"
        " this order; IPv4 and IPv6 have their own.",
        cost="About 330 bytes for each entry, and longer runs of the garbage collector.",
        misconceptions=(NEIGHBOURS_OF_NAMESPACE, NEIGHBOUR_CONNECTIONS),
        sysctls=tuple(
            f"net.{family}.neigh.default.gc_thresh{which}" for family in ("ipv4", "ipv6") for which in (1, 2, 3)
        ),
        source="net/core/neighbour.c, neigh_alloc()",
    ),
)
