"""The connection tracking table: one maximum for the host, compared with each namespace's own count."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, raised, unknown
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
    proofs=("conntrack.drop", "conntrack.early_drop"),
    remedies=_remedies,
    words=Words(
        counted="Entries of this namespace's own table, nf_conntrack_count, against nf_conntrack_max, one number"
        " for the"
        " host with which each namespace is compared by itself. Nothing is tracked where no rule asks for it."
        " Closed TCP flows stay for net.netfilter.nf_conntrack_tcp_timeout_time_wait.",
        shows=(
            "conntrack drop moves and insert_failed does not; early_drop before that, while unanswered flows can"
            " go",
            "UDP sends of this host fail with EPERM (1), TCP SYNs vanish and connect() hangs",
            "kernel log: nf_conntrack: table full, dropping packet (not for each packet)",
        ),
        live="sysctl net.netfilter.nf_conntrack_max and nf_conntrack_buckets, in the initial network namespace"
        " only;"
        " they act at once",
        lasting="a file in /etc/sysctl.d, and nf_conntrack in /etc/modules-load.d: the keys do not exist before"
        " the"
        " module is loaded",
        costs="256 bytes an entry, more with NAT or accounting, and 8 bytes a bucket; buckets that stay few make"
        " every"
        " lookup longer.",
        myths=(
            "net.ipv4.netfilter.ip_conntrack_max is an old name that no longer exists: it is"
            " net.netfilter.nf_conntrack_max now.",
            "It cannot be set inside a container: the key is read-only there, and the host's value counts.",
        ),
        keys=(
            MAXIMUM,
            "net.netfilter.nf_conntrack_count",
            "net.netfilter.nf_conntrack_buckets",
            "net.netfilter.nf_conntrack_tcp_timeout_established",
            "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
        ),
        source="net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc()",
    ),
)
