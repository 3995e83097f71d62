"""TIME_WAIT buckets: how many sockets a namespace keeps in TIME_WAIT. It does not limit connections."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import delta_lines
from sockmon.ceilings.measuring import sysctl_number, unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.ceilings.time_wait_reuse import REUSE
from sockmon.misconceptions import SERVER_PORTS, TIME_WAIT_LENGTH, TW_BUCKETS, TW_RECYCLE
from sockmon.model.report import Remedy

TIME_WAIT_SECONDS = 60
"""TCP_TIMEWAIT_LEN of include/net/tcp.h: a constant that tcp_fin_timeout does not change."""
LIMIT = "net.ipv4.tcp_max_tw_buckets"
OVERFLOW = "TcpExt.TCPTimeWaitOverflow"


def _buckets(window: Window) -> Iterator[Measure]:
    netns = window.netns
    limit = sysctl_number(netns.sysctls, LIMIT)
    if limit is None:
        yield unread_measure(netns.name, window.missing(LIMIT, "sysctl"))
        return
    if netns.sockstat is None:
        yield unread_measure(netns.name, window.missing("sockstat"))
        return
    hit = window.deltas.get(OVERFLOW, 0) > 0
    used = netns.sockstat.time_wait
    yield Measure(netns.name, used, limit, hit=hit, expires_after=TIME_WAIT_SECONDS, expiring=used)


def _evidence(window: Window, measure: Measure) -> list[str]:
    lines = [f"sockstat tw {measure.used:,}, {LIMIT} {measure.limit:,}", *delta_lines(window, OVERFLOW)]
    if measure.hit:
        lines.append(
            "sockets above the limit close without TIME_WAIT: no connection fails, but the protection is lost"
        )
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = next_limit(measure.limit or 0)
    return [
        application("reuse connections, or let the peer close first: both leave fewer sockets in TIME_WAIT"),
        Remedy("sysctl", LIMIT, str(wanted), "takes effect at once; 256 bytes for each socket"),
    ]


TIME_WAIT_BUCKETS = Ceiling(
    id="time-wait-buckets",
    title="TIME_WAIT buckets",
    unit="sockets",
    scope="netns",
    levels=Levels(0.80, 0.95),
    consequence="above the limit sockets close without TIME_WAIT; connections are not refused",
    measure=_buckets,
    evidence=_evidence,
    hit_counters=(OVERFLOW,),
    needs_movement=True,
    remedies=_remedies,
    manual=Manual(
        measurement="The sockets in TIME_WAIT of one network namespace, and those in FIN_WAIT2 without an owner:"
        " `tw` in /proc/net/sockstat. The side that closes first keeps one for 60 s; the other side keeps none.",
        symptoms=(
            "TcpExt.TCPTimeWaitOverflow moves; nothing fails and the kernel logs nothing",
            "a late packet of a closed connection may reach a new one with the same addresses and ports",
        ),
        raise_now="sysctl -w net.ipv4.tcp_max_tw_buckets=N in the namespace takes effect at once.",
        persist="Put the same setting in a file in /etc/sysctl.d; a container has its own value.",
        cost="256 bytes for each socket and, on the side that connected, a local port towards that destination.",
        misconceptions=(TIME_WAIT_LENGTH, TW_RECYCLE, TW_BUCKETS, SERVER_PORTS),
        sysctls=(LIMIT, REUSE, "net.ipv4.tcp_fin_timeout"),
        source="net/ipv4/tcp_minisocks.c, tcp_time_wait(); include/net/tcp.h, TCP_TIMEWAIT_LEN",
    ),
)
