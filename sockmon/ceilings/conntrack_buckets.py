"""The buckets of connection tracking: one hash table for the host, whose chains may grow long."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.conntrack import CHAIN_TOO_LONG, MAXIMUM
from sockmon.ceilings.conntrack_shares import largest_shares, share_lines
from sockmon.ceilings.evidence import HANDSHAKES, delta_lines
from sockmon.ceilings.measuring import unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Conntrack

BUCKETS = "net.netfilter.nf_conntrack_buckets"
CHAIN_LIMIT = 50
"""Entries of one bucket from which on new ones are refused, at random up to 80 (MIN_CHAINLEN, MAX_CHAINLEN)."""
LONG_CHAIN = 10
"""Entries of a bucket on average that make every packet slower. The kernel's defaults give 2 in a full table,
and gave 8 before."""


def _conntrack_buckets(window: Window) -> Iterator[Measure]:
    table = window.netns.conntrack
    if table is None:
        yield unread_measure(window.netns.name, window.missing("conntrack"))
        return
    refuses = "chainlength" in table.stats
    length = _chain_length(table)
    yield Measure(
        window.netns.name,
        None if length is None else -int(-length // 1),
        CHAIN_LIMIT if refuses else None,
        hit=window.deltas.get(CHAIN_TOO_LONG, 0) > 0,
        min_severity="warning" if not refuses and length is not None and length >= LONG_CHAIN else "ok",
        unknown_reason="conntrack: the number of buckets is 0" if length is None else "",
        payload=table,
        shares=largest_shares(table),
    )


def _chain_length(table: Conntrack) -> float | None:
    """Return the entries of a bucket on average: a connection has one for each direction."""
    return 2 * table.count / table.buckets if table.buckets else None


def _evidence(window: Window, measure: Measure) -> list[str]:
    table = measure.payload
    assert isinstance(table, Conntrack)
    length = _chain_length(table)
    average = "" if length is None else f": {length:,.1f} entries in a bucket on average, two for each connection"
    lines = [f"nf_conntrack_count {table.count:,}, {table.buckets:,} buckets{average}"]
    lines.append("all network namespaces share the buckets: connections of the others are not counted here")
    if measure.limit is None:
        lines.append("this kernel does not limit the length of a bucket: long ones only make packets slower")
    lines += share_lines(table, window)
    lines += delta_lines(window, CHAIN_TOO_LONG, "conntrack.insert_failed", "conntrack.search_restart")
    if measure.hit:
        lines += delta_lines(window, *HANDSHAKES)
        lines.append(
            "new connections whose bucket is full are refused: UDP sends fail with EPERM, TCP SYNs are lost"
        )
    return lines


def _remedies(_: Window, measure: Measure) -> list[Remedy]:
    table = measure.payload
    assert isinstance(table, Conntrack)
    enough = max(table.count, table.maximum)
    wanted = next_limit(enough, 1) if enough > table.buckets else next_limit(table.buckets)
    text = (
        f"in the initial network namespace, at once: a bucket for each entry that {MAXIMUM} allows takes"
        f" {wanted * 8 >> 10:,} kB"
    )
    fewer = application("track fewer connections: exclude a busy port from tracking (NOTRACK)")
    return [Remedy("sysctl", BUCKETS, str(wanted), text), fewer]


CONNTRACK_BUCKETS = Ceiling(
    id="conntrack-buckets",
    title="conntrack buckets",
    unit="entries in a bucket",
    scope="netns",
    levels=Levels(LONG_CHAIN / CHAIN_LIMIT, 0.50),
    consequence="when buckets are long every packet takes longer, and new connections with a full one are refused",
    measure=_conntrack_buckets,
    evidence=_evidence,
    hit_counters=(CHAIN_TOO_LONG,),
    needs_movement=True,
    remedies=_remedies,
    manual=Manual(
        measurement="The entries of one bucket on average: twice nf_conntrack_count, because a connection has an"
        " entry for each direction, divided by nf_conntrack_buckets. The table is one for the host: connections of"
        " other network namespaces are in the same buckets, and this namespace does not show them. Kernels with a"
        " column chainlength in /proc/net/stat/nf_conntrack refuse a new entry if its bucket has 50 to 80.",
        symptoms=(
            "`insert_failed` and `chainlength` of conntrack move by one for each packet, `drop` does not",
            "UDP sends of this host fail with EPERM (1), TCP SYNs are lost, and conntrackd gets ENOSPC (28)",
            "before that, ksoftirqd and softirq time grow with the number of connections",
        ),
        raise_now="sysctl -w net.netfilter.nf_conntrack_buckets=N takes effect at once, in the initial network"
        " namespace only.",
        persist="Put the same setting in a file in /etc/sysctl.d, and nf_conntrack in /etc/modules-load.d; or set"
        " the option hashsize of the module in /etc/modprobe.d.",
        cost="8 bytes for each bucket; the table is locked while it is rebuilt.",
        misconceptions=(
            "A higher nf_conntrack_max alone makes it worse: the number of buckets does not follow it.",
            "nf_conntrack_max limits the connections of one namespace, but the buckets are shared: ten containers"
            " below it may fill them.",
        ),
        sysctls=(BUCKETS, MAXIMUM, "net.netfilter.nf_conntrack_count"),
        source="net/netfilter/nf_conntrack_core.c, __nf_conntrack_confirm()",
    ),
)
