"""The transmit queues of devices: packets that a host sends faster than a device or a shaper takes them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import RETRANSMITS, delta, delta_lines
from sockmon.ceilings.measuring import unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.model.report import Remedy
from sockmon.model.snapshot import TransmitQueue

OVERFLOWED, DROPPED, SENT = "qdisc.overflowed", "qdisc.dropped", "qdisc.sent"
"""Counters of a window, each with the name of the device behind it."""
MIN_DROPS = 10
"""Dropped packets in the window from which on it is not chance: a burst may lose a few."""
WARNING_SHARE, HIT_SHARE = 0.02, 0.10
"""Shares of the packets: TCP finds the rate of a device by filling its queue, and then loses a few."""
MIN_DROPS_OF_FEW = 3
"""Dropped packets that are enough if no more are sent than dropped."""
SILENT = frozenset(("cake", "fq_codel", "fq_pie", "hhf", "pfifo_head_drop", "sfq"))
"""Disciplines that drop a packet which waits instead of the new one: the sender gets no error (NET_XMIT_CN)."""


def _transmit_queues(window: Window) -> Iterator[Measure]:
    netns = window.netns
    if netns.transmit is None:
        yield unread_measure(netns.name, window.missing("transmit queues"))
        return
    for queue in netns.transmit.rows:
        lost, share = _lost(window, queue), _lost_share(window, queue)
        yield Measure(
            queue.device,
            queue.waiting,
            queue.limit,
            # A full queue is the usual state of a busy device: it matters if many packets are dropped.
            effective_used=queue.waiting if _loses(lost, share) else 0,
            hit=_loses(lost, share, HIT_SHARE),
            min_severity="warning" if _loses(lost, share) else "ok",
            at=netns.transmit.at,
            payload=queue,
        )
    if not netns.transmit.rows:
        yield Measure(netns.name, 0, None, at=netns.transmit.at)


def _loses(lost: int, share: float, least: float = WARNING_SHARE) -> bool:
    """Return whether at least this share of the packets was dropped, and not by chance."""
    return lost >= (MIN_DROPS if share < 0.5 else MIN_DROPS_OF_FEW) and share >= least


def _lost(window: Window, queue: TransmitQueue) -> int:
    """Return the packets that were dropped in the window because the queue was full."""
    if queue.overflowed is not None:
        return max(window.deltas.get(f"{OVERFLOWED} {queue.device}", 0), 0)
    full = queue.limit is not None and 10 * queue.waiting >= 9 * queue.limit
    return max(window.deltas.get(f"{DROPPED} {queue.device}", 0), 0) if full else 0


def _lost_share(window: Window, queue: TransmitQueue) -> float:
    lost, sent = _lost(window, queue), max(window.deltas.get(f"{SENT} {queue.device}", 0), 0)
    return lost / (lost + sent) if lost else 0.0


def _change_key(window: Window) -> object:
    """Return the time of the dump: the same dump in the next Snapshot is not a second one."""
    transmit = window.netns.transmit
    return object() if transmit is None else transmit.at


def _evidence(window: Window, measure: Measure) -> list[str]:
    queue = measure.payload
    if not isinstance(queue, TransmitQueue):
        return ["no device of this namespace has a transmit queue: loopback, veth and bridges need none"]
    lines = [_length(queue)]
    if lost := _lost(window, queue):
        share = 100 * _lost_share(window, queue)
        lines.append(f"packets that did not fit and were dropped {delta(window, lost)}, {share:.0f} % of all")
        lines.append(_outcome(queue))
        lines += delta_lines(window, "Udp.SndbufErrors", "Ip.OutDiscards", *RETRANSMITS)
    elif queue.dropped:
        lines.append(f"{queue.dropped:,} packets were dropped since the queue was made, {queue.sent:,} were sent")
    if queue.overflowed is None and queue.dropped:
        lines.append(f"{queue.kind} drops packets by design, and does not count apart those that did not fit")
    if queue.device_dropped:
        lines.append(f"tx_dropped of the device is {queue.device_dropped:,}: its driver dropped those")
    return lines


def _length(queue: TransmitQueue) -> str:
    unit = "bytes" if queue.in_bytes else "packets"
    place = queue.kind if queue.kind == queue.root else f"{queue.kind} below {queue.root}"
    which = f", the fullest of {queue.queues} queues" if queue.queues > 1 else ""
    if queue.limit is None:
        return f"{queue.waiting:,} {unit} wait in {place}{which}; its limit is not known"
    limit = "txqueuelen" if queue.kind == "pfifo_fast" else "limit"
    return f"{queue.waiting:,} {unit} wait in {place}{which}; {limit} {queue.limit:,}"


def _outcome(queue: TransmitQueue) -> str:
    if queue.kind in SILENT:
        return "no program gets an error: TCP sends again, datagrams are lost"
    return "packet and raw sockets get ENOBUFS (105), UDP only with IP_RECVERR; TCP sends again"


def _remedies(_: Window, measure: Measure) -> list[Remedy]:
    queue = measure.payload
    if not isinstance(queue, TransmitQueue):
        return []
    device = queue.device
    slower = application(
        f"let what sends through {device} send more slowly, or raise the rate of the device or its shaper: the"
        " queue only absorbs bursts"
    )
    return [slower, *_longer_queue(queue)]


def _longer_queue(queue: TransmitQueue) -> Iterator[Remedy]:
    if queue.limit is None:
        return
    # A name may have any character but a slash and white space, and a person copies the command.
    limit, device = next_limit(queue.limit), shlex.quote(queue.device)
    where = "root" if queue.parent == "root" else f"parent {queue.parent}"
    if queue.kind == "pfifo_fast":
        command = f"ip link set dev {device} txqueuelen {limit}"
    elif queue.root == "tbf" and queue.kind == "bfifo":
        command = f"tc qdisc change dev {device} root tbf rate RATE burst BYTES limit {limit}"
    elif queue.kind.endswith("fifo"):
        command = f"tc qdisc replace dev {device} {where} {queue.kind} limit {limit}"
    else:
        command = f"tc qdisc change dev {device} {where} {queue.kind} limit {limit}"
    note = f", with the rate and burst that `tc qdisc show dev {device}` prints" if "RATE" in command else ""
    yield application(f"for bursts, a longer queue: {command}{note}; it takes effect at once, and adds delay")


TRANSMIT_QUEUE = Ceiling(
    id="transmit-queue",
    title="transmit queue",
    unit="packets or bytes",
    scope="netns",
    per="device",
    levels=Levels(0.90, 0.98),
    consequence="when the transmit queue of a device is full, packets are dropped before they leave this host",
    measure=_transmit_queues,
    evidence=_evidence,
    remedies=_remedies,
    hit_counters=(OVERFLOWED,),
    needs_movement=True,
    change_key=_change_key,
    manual=Manual(
        measurement="The packets, or bytes for bfifo and tbf, that wait in the queueing discipline of a device:"
        " backlog of `tc -s qdisc show dev DEVICE`. Of several queues the fullest is shown. A full queue raises an"
        " alarm only if one of fifty packets or more is dropped (`dropped`). What fq_codel and codel drop because"
        " it waited too long does not count: that is how they slow TCP down. Packets to this host and to"
        " containers pass no queue: loopback, veth and bridges have none by default.",
        symptoms=(
            "send() of a packet or raw socket (ping, DHCP, VRRP, scanners) fails with ENOBUFS (105)",
            "UDP programs get that error only with IP_RECVERR; the others lose the datagram, and Udp.SndbufErrors"
            " and Ip.OutDiscards grow",
            "TCP programs get no error: Tcp.RetransSegs grows",
        ),
        raise_now="For pfifo_fast, run ip link set dev DEVICE txqueuelen N. For other disciplines, run tc qdisc"
        " change with a higher limit, and with the other parameters that `tc qdisc show dev DEVICE` prints.",
        persist="Set it where the device is configured: TransmitQueueLength= in a .link file of systemd-udevd, or"
        " a queueing discipline in a .network file of systemd-networkd. txqueuelen is not a sysctl.",
        cost="Delay: 1,000 packets of 1,500 bytes take 1.2 s at 10 Mbit/s, and every packet waits behind them.",
        misconceptions=(
            "net.core.wmem_max and SO_SNDBUF do not help: a larger socket buffer fills the same queue.",
            "net.core.netdev_max_backlog limits the packets that are received, not those that are sent.",
            "net.core.default_qdisc is for devices that are set up later. With fq_codel no flow fills the queue,"
            " but no program gets an error for the packets that are lost.",
        ),
        source="net/sched/sch_generic.c; net/core/dev.c, __dev_xmit_skb(); net/ipv4/udp.c, udp_send_skb()",
    ),
)
