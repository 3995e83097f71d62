"""Neighbour tables (ARP, NDP): one for IPv4 and one for IPv6, shared by every network namespace of the host."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, number, raised, unknown
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Neighbours

FAMILIES = {"arp_cache": "ipv4", "ndisc_cache": "ipv6"}


def _threshold(window: Window, table: Neighbours, which: int) -> int | None:
    return number(window.now.sysctls, _key(table, which))


def _key(table: Neighbours, which: int) -> str:
    return f"net.{FAMILIES[table.table]}.neigh.default.gc_thresh{which}"


def _neighbour_table(window: Window) -> Iterator[Measure]:
    host = window.now.host.name
    if window.now.neighbours is None:
        yield unknown(host, window.why_missing("neighbours"))
        return
    for table in window.now.neighbours:
        limit = _threshold(window, table, 3)
        yield Measure(
            host if table.table == "arp_cache" else f"{host} (IPv6)",
            table.entries,
            limit,
            pressing=_pressing(table, limit),
            hit=window.moved.get(f"{table.table}.table_fulls", 0) > 0,
            unseen="" if limit is not None else f"{_key(table, 3)} is not shown here",
            about=table,
        )


def _pressing(table: Neighbours, limit: int | None) -> int | None:
    """What is held against the limit; None where all that is known of is.

    Entries that were set by hand or by a routing daemon are not. Those of other namespaces are hidden: only with
    some of them can there be more than the limit, and how many of the others there are is not known then."""
    counted = table.entries - (table.permanent or 0)
    if limit is not None and counted > limit:
        return 0
    return max(counted, 0) if table.permanent else None


def _evidence(window: Window, measure: Measure) -> list[str]:
    table = measure.about
    assert isinstance(table, Neighbours)
    lines = [f"{table.table}: {table.entries:,} entries in all namespaces together, {_limits(window, table)}"]
    if table.permanent:
        lines.append(f"{table.permanent:,} of them are permanent, which do not count against the limit")
    elif measure.pressing == 0:
        lines.append("more than the limit: permanent entries are among them, which do not count against it")
    lines += moved(window, f"{table.table}.table_fulls")
    if measure.hit:
        lines.append("new neighbours get no entry: UDP sends seem to succeed, TCP connects hang")
    return lines


def _limits(window: Window, table: Neighbours) -> str:
    values = [_threshold(window, table, which) for which in (1, 2, 3)]
    return "gc_thresh1 to 3: " + " ".join("?" if value is None else f"{value:,}" for value in values)


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    table = measure.about
    assert isinstance(table, Neighbours)
    wanted = raised(max(measure.limit or 0, measure.used or 0), 4)
    family = FAMILIES[table.table]
    return [
        Remedy(
            "application",
            None,
            None,
            "see who talks to so many direct neighbours (a scan, a flat network): those behind a router need one",
        ),
        Remedy(
            "sysctl",
            _key(table, 3),
            str(wanted),
            f"together with gc_thresh2 = {wanted // 2} and gc_thresh1 = {wanted // 4} of net.{family}, in the"
            " initial network namespace; acts at once",
        ),
    ]


NEIGHBOUR_TABLE = Ceiling(
    id="neighbour-table",
    title="neighbour table",
    unit="entries",
    scope="host",
    levels=Levels(0.75, 0.90),
    what="when the table is full no new direct neighbour can be reached, in any namespace of the host",
    measure=_neighbour_table,
    evidence=_evidence,
    proofs=("arp_cache.table_fulls", "ndisc_cache.table_fulls"),
    remedies=_remedies,
    words=Words(
        counted="Hosts that are reached directly, without a router, one entry for each address and interface:"
        " `entries` of /proc/net/stat/arp_cache for IPv4 and of ndisc_cache for IPv6, all network namespaces"
        " together. Connections do not count, and peers behind a router share the router's entry. Permanent"
        " entries are part of the number, but not held against the limit.",
        shows=[
            "table_fulls of /proc/net/stat/arp_cache or ndisc_cache grows",
            "kernel log: neighbour: arp_cache: neighbor table overflow!",
            "sendto() of a UDP socket reports success and nothing leaves; Ip.OutDiscards grows",
            "connect() of a TCP socket hangs",
        ],
        live="sysctl -w gc_thresh3, gc_thresh2 and gc_thresh1 in the initial network namespace, largest first;"
        " both families have their own.",
        lasting="The same keys in a file of /etc/sysctl.d.",
        costs="Some 330 bytes an entry, and longer walks of the garbage collector.",
        myths=[
            "`ip neigh` counts one namespace only: the table of a host full of containers can overflow while each"
            " of them looks empty.",
        ],
        keys=[
            f"net.{family}.neigh.default.gc_thresh{which}" for family in ("ipv4", "ipv6") for which in (1, 2, 3)
        ],
        source="net/core/neighbour.c, neigh_alloc()",
    ),
)
