"""TIME_WAIT buckets: how many sockets a namespace keeps in TIME_WAIT. Not a cap on connections."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, number, raised, unknown
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
    used = netns.sockstat.time_wait
    yield Measure(netns.name, used, limit, hit=hit, lasts=TIME_WAIT_SECONDS, passing=used)


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
    proofs=(OVERFLOW,),
    remedies=_remedies,
    words=Words(
        counted="Sockets in TIME_WAIT of one network namespace, and FIN_WAIT2 without an owner: `tw` of"
        " /proc/net/sockstat. The side that closes first keeps one for 60 s; the other side keeps nothing.",
        shows=[
            "TcpExt.TCPTimeWaitOverflow grows; nothing fails and nothing is logged",
            "an old packet of a closed connection may then meet a new one of the same addresses and ports",
        ],
        live="sysctl -w net.ipv4.tcp_max_tw_buckets=N in the namespace; it acts at once.",
        lasting="net.ipv4.tcp_max_tw_buckets in a file of /etc/sysctl.d; a container has its own value.",
        costs="256 bytes each, and on the side that connected a local port towards that destination.",
        myths=[
            "tcp_fin_timeout does not shorten TIME_WAIT: that is fixed. It is about FIN_WAIT2 without an owner.",
            "tcp_tw_recycle broke clients behind NAT and is gone since Linux 4.12; what is left is tcp_tw_reuse,"
            " for connections that this side opens.",
            "Lowering tcp_max_tw_buckets hides TIME_WAIT and takes its protection away; no connection is gained.",
            "A server with much TIME_WAIT is not short of ports: who accepts uses no local port for it.",
        ],
        keys=[LIMIT, "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_fin_timeout"],
        source="net/ipv4/tcp_minisocks.c, tcp_time_wait(); include/net/tcp.h, TCP_TIMEWAIT_LEN",
    ),
)
