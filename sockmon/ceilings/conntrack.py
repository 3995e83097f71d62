"""The connection tracking table: one maximum for the host, compared with each namespace's own count."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, moved, raised, unknown
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Conntrack

MAXIMUM = "net.netfilter.nf_conntrack_max"


def full_drops(window: Window) -> int:
    """Packets dropped because the table was full: a NAT clash counts in `drop` and in `insert_failed`, a full
    table in `drop` alone (net/netfilter/nf_conntrack_core.c)."""
    return max(
        window.moved.get("conntrack.drop", 0) - window.moved.get("conntrack.insert_failed", 0),
        0,
    )


def _conntrack_table(window: Window) -> Iterator[Measure]:
    table = window.netns.conntrack
    if table is None:
        yield unknown(window.netns.name, window.why_missing("conntrack"))
        return
    yield Measure(
        window.netns.name,
        table.count,
        table.maximum or None,
        hit=full_drops(window) > 0,
        at_least="warning" if window.moved.get("conntrack.early_drop", 0) > 0 else "ok",
        about=table,
    )


def _evidence(window: Window, measure: Measure) -> list[str]:
    table = measure.about
    assert isinstance(table, Conntrack)
    maximum = f"{table.maximum:,}" if table.maximum else "unlimited"
    lines = [f"nf_conntrack_count {table.count:,}, nf_conntrack_max {maximum}, {table.buckets:,} buckets"]
    if not table.count:
        lines.append("nothing is tracked in this namespace right now: that is done where a rule needs it")
    if table.unreplied is not None and table.table:
        total = max(sum(table.table.values()), 1)
        lines.append(f"{100 * table.unreplied / total:.0f} % of the entries never saw a reply")
    lines += moved(window, "conntrack.drop", "conntrack.early_drop", "conntrack.insert_failed")
    if measure.hit:
        lines.append("new flows are dropped: UDP sends fail with EPERM, TCP SYNs vanish")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    table = measure.about
    assert isinstance(table, Conntrack)
    application = Remedy(
        "application",
        None,
        None,
        "see which flows fill the table; closed ones linger in TIME_WAIT for"
        " net.netfilter.nf_conntrack_tcp_timeout_time_wait, and a busy port can be left untracked (NOTRACK)",
    )
    if not table.maximum:
        return [application]
    wanted = raised(table.maximum)
    initial = f"{MAXIMUM} and nf_conntrack_buckets to {wanted:,}, in the initial network namespace"
    return [
        application,
        Remedy(
            "sysctl",
            MAXIMUM,
            str(wanted),
            f"{initial}: acts at once, about {wanted * 256 >> 20:,} MB when full",
        ),
    ]


CONNTRACK_TABLE = Ceiling(
    id="conntrack-table",
    title="conntrack table",
    unit="entries",
    scope="netns",
    levels=Levels(0.75, 0.90),
    what="when the table is full and nothing can be evicted, packets of new flows are dropped",
    measure=_conntrack_table,
    evidence=_evidence,
    remedies=_remedies,
)
