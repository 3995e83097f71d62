"""The connection tracking table: one maximum for the host, compared with each namespace's own count."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.conntrack_shares import largest_shares, share_lines
from sockmon.ceilings.evidence import HANDSHAKES, RETRANSMITS, delta_lines
from sockmon.ceilings.measuring import unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.misconceptions import CONNTRACK_OLD_NAME
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Conntrack

MAXIMUM = "net.netfilter.nf_conntrack_max"
DROP, INSERT_FAILED = "conntrack.drop", "conntrack.insert_failed"
CHAIN_TOO_LONG = "conntrack.chainlength"
"""st->chaintoolong: the column has the name of an older counter."""


def clashes(window: Window) -> int:
    """Return the flows that were refused because their addresses and ports were in use: a bucket that is too long
    counts in `chainlength` and in `insert_failed` (__nf_conntrack_confirm())."""
    return max(window.deltas.get(INSERT_FAILED, 0) - window.deltas.get(CHAIN_TOO_LONG, 0), 0)


def full_drops(window: Window) -> int:
    """Return the packets dropped because the table was full: a clash counts in `drop` and in `insert_failed`, a
    full table in `drop` alone, and a bucket that is too long not in `drop`."""
    return max(window.deltas.get(DROP, 0) - clashes(window), 0)


def _conntrack_table(window: Window) -> Iterator[Measure]:
    table = window.netns.conntrack
    if table is None:
        yield unread_measure(window.netns.name, window.missing("conntrack"))
        return
    yield Measure(
        window.netns.name,
        table.count,
        table.maximum or None,
        hit=full_drops(window) > 0,
        min_severity="warning" if window.deltas.get("conntrack.early_drop", 0) > 0 else "ok",
        payload=table,
        shares=largest_shares(table),
    )


def _evidence(window: Window, measure: Measure) -> list[str]:
    table = measure.payload
    assert isinstance(table, Conntrack)
    maximum = f"{table.maximum:,}" if table.maximum else "unlimited"
    lines = [f"nf_conntrack_count {table.count:,}, nf_conntrack_max {maximum}, {table.buckets:,} buckets"]
    if not table.count:
        lines.append(
            "nothing is tracked in this namespace right now: connections are tracked only if a rule needs it"
        )
    if table.unreplied is not None and table.table:
        total = max(sum(table.table.values()), 1)
        lines.append(f"{100 * table.unreplied / total:.0f} % of the entries never had a reply")
    lines += share_lines(table, window)
    lines += delta_lines(window, DROP, "conntrack.early_drop", INSERT_FAILED)
    if measure.hit:
        lines += delta_lines(window, *HANDSHAKES, *RETRANSMITS)
        lines.append("packets of new flows are dropped: UDP sends fail with EPERM, TCP SYNs are lost")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    table = measure.payload
    assert isinstance(table, Conntrack)
    fewer = application(
        "check which flows fill the table: closed ones stay for net.netfilter.nf_conntrack_tcp_timeout_time_wait,"
        " and a busy port can be excluded from tracking (NOTRACK)"
    )
    if not table.maximum:
        return [fewer]
    wanted = next_limit(table.maximum)
    text = (
        f"raise {MAXIMUM} and nf_conntrack_buckets to {wanted:,}, in the initial network namespace: takes effect"
        f" at once, takes about {wanted * 256 >> 20:,} MB when full"
    )
    return [fewer, Remedy("sysctl", MAXIMUM, str(wanted), text)]


CONNTRACK_TABLE = Ceiling(
    id="conntrack-table",
    title="conntrack table",
    unit="entries",
    scope="netns",
    levels=Levels(0.75, 0.90),
    consequence="when the table is full and no entry can be evicted, packets of new flows are dropped",
    measure=_conntrack_table,
    evidence=_evidence,
    hit_counters=("conntrack.drop", "conntrack.early_drop"),
    needs_movement=True,
    remedies=_remedies,
    manual=Manual(
        measurement="The entries of this namespace's own table (nf_conntrack_count) against nf_conntrack_max, one"
        " number for the host that applies to each namespace separately. Connections are tracked only if a rule"
        " needs it. Closed TCP flows stay for net.netfilter.nf_conntrack_tcp_timeout_time_wait.",
        symptoms=(
            "`drop` of conntrack moves and `insert_failed` does not; before that `early_drop` moves, while"
            " unanswered flows can be evicted",
            "UDP sends of this host fail with EPERM (1), TCP SYNs are lost and connect() hangs",
            "the kernel logs `nf_conntrack: table full, dropping packet`, but not for each packet",
        ),
        raise_now="sysctl -w net.netfilter.nf_conntrack_max=N net.netfilter.nf_conntrack_buckets=N takes effect"
        " at once, in the initial network namespace only.",
        persist="Put the same settings in a file in /etc/sysctl.d, and nf_conntrack in /etc/modules-load.d: the"
        " keys do not exist before the module is loaded.",
        cost="256 bytes for each entry, more with NAT or accounting, and 8 bytes for each bucket; too few buckets"
        " make every lookup slower.",
        misconceptions=(
            CONNTRACK_OLD_NAME,
            "nf_conntrack_max cannot be set inside a container: the key is read-only there, and the host's value"
            " applies.",
        ),
        sysctls=(
            MAXIMUM,
            "net.netfilter.nf_conntrack_count",
            "net.netfilter.nf_conntrack_buckets",
            "net.netfilter.nf_conntrack_tcp_timeout_established",
            "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
        ),
        source="net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc()",
    ),
)
