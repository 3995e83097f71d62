"""TIME_WAIT buckets: how many sockets a namespace keeps in TIME_WAIT. Not a cap on connections."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, moved, number, raised, unknown
from sockmon.model.report import Remedy

TIME_WAIT_SECONDS = 60
"""TCP_TIMEWAIT_LEN of include/net/tcp.h: fixed, whatever tcp_fin_timeout says."""
LIMIT = "net.ipv4.tcp_max_tw_buckets"
OVERFLOW = "TcpExt.TCPTimeWaitOverflow"


def _buckets(window: Window) -> Iterator[Measure]:
    netns = window.netns
    limit = number(netns.sysctls, LIMIT)
    if limit is None:
        yield unknown(netns.name, window.why_missing(LIMIT, "sysctl"))
        return
    hit = window.moved.get(OVERFLOW, 0) > 0
    yield Measure(netns.name, netns.sockstat.time_wait, limit, hit=hit, lasts=TIME_WAIT_SECONDS)


def _evidence(window: Window, measure: Measure) -> list[str]:
    lines = [f"sockstat tw {measure.used:,}, {LIMIT} {measure.limit:,}", *moved(window, OVERFLOW)]
    if measure.hit:
        lines.append("sockets above it close without TIME_WAIT: connections go on, their protection does not")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = raised(measure.limit or 0)
    return [
        Remedy(
            "application",
            None,
            None,
            "reuse connections, or let the peer close first: fewer TIME_WAITs arise",
        ),
        Remedy(
            "sysctl",
            LIMIT,
            str(wanted),
            f"raise it to {wanted:,}: 256 bytes each, and never lower it to cure TIME_WAIT",
        ),
    ]


TIME_WAIT_BUCKETS = Ceiling(
    id="time-wait-buckets",
    title="TIME_WAIT buckets",
    unit="sockets",
    scope="netns",
    levels=Levels(0.80, 0.95),
    what="above the limit sockets close without TIME_WAIT; connections are not refused",
    measure=_buckets,
    evidence=_evidence,
    remedies=_remedies,
)
