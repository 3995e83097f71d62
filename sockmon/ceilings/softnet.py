"""The input queue of each processor (net.core.netdev_max_backlog), for packets that no polling driver brings."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, number, raised, unknown
from sockmon.ceilings.memory import INITIAL_ONLY
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Softnet

LIMIT = "net.core.netdev_max_backlog"
DROPPED = "softnet.dropped"
SQUEEZED = "softnet.squeezed"
ENOUGH_PACKETS = 30_000
STEADY = 1.0
"""Packets dropped each second from which on it is more than a burst that was too long once."""
FEW, MANY = 10, 60
"""Packets dropped in the window: fewer are no alarm, and fewer than MANY no hit, however short the window is."""


def _softnet_backlog(window: Window) -> Iterator[Measure]:
    host, softnet = window.now.host.name, window.now.softnet
    if softnet is None:
        yield unknown(host, window.why_missing("softnet"))
        return
    limit = number(window.now.sysctls, LIMIT)
    unseen = "" if softnet.backlog is not None else "softnet: this kernel does not show how long the queues are"
    if limit is None:
        unseen = INITIAL_ONLY.format(LIMIT)
    lost, dropped = window.moved.get(DROPPED, 0), _dropped(window)
    yield Measure(
        host,
        softnet.backlog,
        limit,
        hit=dropped >= STEADY and lost >= MANY,
        at_least="warning" if lost >= FEW else "ok",
        momentary=True,
        unseen=unseen,
        about=softnet,
    )


def _dropped(window: Window) -> float:
    """Packets a second inside the window."""
    return max(window.moved.get(DROPPED, 0), 0) / max(window.seconds, 1)


def _evidence(window: Window, measure: Measure) -> list[str]:
    softnet = measure.about
    assert isinstance(softnet, Softnet)
    lines = []
    if softnet.backlog is not None:
        lines.append(f"{softnet.backlog:,} packets in the longest queue, of processor {softnet.cpu}")
    lines.append(f"{LIMIT} {measure.limit:,} for each processor" if measure.limit is not None else measure.unseen)
    lines += moved(window, DROPPED, SQUEEZED)
    if rate := _dropped(window):
        lines.append(f"about {rate:,.1f} packets/s were dropped before any socket saw them: TCP sends them again")
        lines.append("loopback, veth, tunnels and RPS use these queues; a network card that polls does not")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = min(raised(measure.limit or 1000, 4), max(ENOUGH_PACKETS, 2 * (measure.limit or 0)))
    return [
        Remedy(
            "application",
            None,
            None,
            "see which processor they crowd on, and who sends such bursts through loopback, veth or a tunnel",
        ),
        Remedy(
            "sysctl",
            LIMIT,
            str(wanted),
            f"longer queues ({wanted:,}) ride out bursts; acts at once, in the initial network namespace. Where"
            " the processor is busy all the time they only add delay: spread the work (RPS) instead",
        ),
    ]


SOFTNET_BACKLOG = Ceiling(
    id="softnet-backlog",
    title="input queue",
    unit="packets",
    scope="host",
    levels=Levels(0.80, 0.95),
    what="when a processor's input queue is full, packets are dropped before any socket sees them",
    measure=_softnet_backlog,
    evidence=_evidence,
    proofs=(DROPPED,),
    remedies=_remedies,
    words=Words(
        counted="Packets that wait in the input queue of one processor; /proc/net/softnet_stat has a line for"
        " each. Only what comes by loopback, veth, tunnels or RPS waits there: a network card's driver polls its"
        " own rings. The same numbers are shown in every network namespace.",
        shows=[
            "the second column of /proc/net/softnet_stat (dropped) grows",
            "TCP sends again what was lost; UDP loses it without a word",
        ],
        live="sysctl -w net.core.netdev_max_backlog=N in the initial network namespace.",
        lasting="net.core.netdev_max_backlog in a file of /etc/sysctl.d.",
        costs="Memory of the packets that wait, and the delay until the last of them is looked at.",
        myths=[
            "It is no limit of connections, and does not help against drops of a network card (ethtool -S).",
            "time_squeeze, the third column, says that the processor ran out of its turn, not that anything was"
            " lost: that is net.core.netdev_budget's.",
        ],
        keys=[LIMIT],
        source="net/core/dev.c, enqueue_to_backlog()",
    ),
)
