"""The input queue of each processor (net.core.netdev_max_backlog), for packets that do not come from a NAPI
driver."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import RETRANSMITS, delta_lines
from sockmon.ceilings.measuring import sysctl_number, unread_measure
from sockmon.ceilings.memory import INITIAL_ONLY
from sockmon.ceilings.remedies import application, next_limit
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Softnet

LIMIT = "net.core.netdev_max_backlog"
DROPPED = "softnet.dropped"
SQUEEZED = "softnet.squeezed"
MAX_ADVISED_BACKLOG = 30_000
STEADY_DROP_RATE = 1.0
"""Packets dropped a second from which on it is more than a single burst."""
MIN_DROPS_TO_WARN, MIN_DROPS_TO_HIT = 10, 60
"""Packets dropped in the window for a warning and for a hit, however short the window is."""


def _softnet_backlog(window: Window) -> Iterator[Measure]:
    host, softnet = window.now.host.name, window.now.softnet
    if softnet is None:
        yield unread_measure(host, window.missing("softnet"))
        return
    limit = sysctl_number(window.now.sysctls, LIMIT)
    unseen = "" if softnet.backlog is not None else "softnet: this kernel does not report the length of the queues"
    if limit is None:
        unseen = INITIAL_ONLY.format(LIMIT)
    lost, dropped = window.deltas.get(DROPPED, 0), _drop_rate(window)
    yield Measure(
        host,
        softnet.backlog,
        limit,
        hit=dropped >= STEADY_DROP_RATE and lost >= MIN_DROPS_TO_HIT,
        min_severity="warning" if lost >= MIN_DROPS_TO_WARN else "ok",
        transient=True,
        unknown_reason=unseen,
        missing=window.missing(LIMIT) if limit is None else None,
        payload=softnet,
    )


def _drop_rate(window: Window) -> float:
    """Return the dropped packets a second in the window."""
    return max(window.deltas.get(DROPPED, 0), 0) / max(window.seconds, 1)


def _evidence(window: Window, measure: Measure) -> list[str]:
    softnet = measure.payload
    assert isinstance(softnet, Softnet)
    lines = []
    if softnet.backlog is not None:
        lines.append(f"{softnet.backlog:,} packets in the longest queue (processor {softnet.cpu})")
    limit = (
        f"{LIMIT} {measure.limit:,} for each processor" if measure.limit is not None else measure.unknown_reason
    )
    lines += [limit, *delta_lines(window, DROPPED, SQUEEZED)]
    if rate := _drop_rate(window):
        lost = f"about {rate:,.1f} packets/s were dropped before they reached a socket: TCP retransmits them"
        # Without a limit there are no numbers: the first sentence stands in their place.
        lines.insert(0 if measure.limit is None else len(lines), lost)
        lines += delta_lines(window, *RETRANSMITS)
        lines.append("loopback, veth, tunnels and RPS use these queues; NAPI drivers of network cards do not")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = min(next_limit(measure.limit or 1000, 4), max(MAX_ADVISED_BACKLOG, 2 * (measure.limit or 0)))
    text = (
        "longer queues absorb bursts; takes effect at once, in the initial network namespace. If the"
        " processor is always busy, longer queues only add delay: spread the work (RPS) instead"
    )
    busy = measure.hit and window.deltas.get(SQUEEZED, 0) > 0
    return [
        application(
            "check which processor gets most packets, and what sends such bursts through loopback, veth or a"
            " tunnel"
        ),
        Remedy("sysctl", LIMIT, str(wanted), text, not busy),
    ]


SOFTNET_BACKLOG = Ceiling(
    id="softnet-backlog",
    title="input queue",
    unit="packets",
    scope="host",
    per="processor",
    levels=Levels(0.80, 0.95),
    consequence="when the input queue of a processor is full, packets are dropped before they reach a socket",
    measure=_softnet_backlog,
    evidence=_evidence,
    hit_counters=(DROPPED,),
    needs_movement=True,
    remedies=_remedies,
    manual=Manual(
        measurement="The packets in the input queue of one processor; /proc/net/softnet_stat has a line for each."
        " Only packets from loopback, veth, tunnels and RPS wait there: the driver of a network card polls its"
        " own rings. Every network namespace shows the same numbers.",
        symptoms=(
            "the second column of /proc/net/softnet_stat (dropped) grows",
            "TCP retransmits the lost packets; UDP does not",
        ),
        raise_now="Run sysctl -w net.core.netdev_max_backlog=N in the initial network namespace.",
        cost="Memory for the packets that wait, and the delay until the last of them is processed.",
        misconceptions=(
            "netdev_max_backlog does not limit connections, and does not help against drops of a network card"
            " (ethtool -S).",
            "time_squeeze, the third column, does not count lost packets: it counts runs that ended before the"
            " queue was empty (see net.core.netdev_budget).",
        ),
        sysctls=(LIMIT,),
        source="net/core/dev.c, enqueue_to_backlog()",
    ),
)
