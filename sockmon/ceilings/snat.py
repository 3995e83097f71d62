"""Translated source ports (SNAT, masquerade): one pool for each (address, destination, destination port)."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, unknown
from sockmon.model.report import Remedy
from sockmon.model.snapshot import SnatGroup

NAT_PORTS = 65535 - 1024 + 1
"""Ports that a source port of 1024 and above is translated to where the rule names none
(net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple)."""
FAILED, DROPPED = "conntrack.insert_failed", "conntrack.drop"
FEW = 5
"""Dropped packets that may be chance: two flows that met, as the two queries of a resolver do. Who finds no port
tries again, so that many are dropped."""
SIDE_BY_SIDE = 8
"""Ports from which on it is no chance that they lie side by side."""


def subject(group: SnatGroup) -> str:
    """`192.0.2.1 → 10.0.0.9:443`, `192.0.2.1 → 10.0.0.9:53 udp`."""
    destination = f"[{group.destination}]" if ":" in group.destination else group.destination
    protocol = "" if group.protocol == "tcp" else f" {group.protocol}"
    return f"{group.address} → {destination}:{group.port}{protocol}"


def clashes(window: Window) -> int:
    """Packets that were dropped because no translated tuple was free: each counts in both."""
    return max(0, min(window.moved.get(FAILED, 0), window.moved.get(DROPPED, 0)))


def _snat_ports(window: Window) -> Iterator[Measure]:
    snat = window.netns.snat
    if snat is None:
        yield unknown(window.netns.name, window.why_missing("snat"))
        return
    clashed = clashes(window)
    for group in snat.groups:
        limit = _span(group) if clashed >= FEW and _is_dense(group) else NAT_PORTS
        yield Measure(
            subject(group),
            group.used,
            limit,
            hit=clashed > 0 and (limit < NAT_PORTS or 10 * group.used >= 9 * NAT_PORTS),
            at=snat.at,
            about=group,
        )
    if not snat.groups:
        yield Measure(window.netns.name, 0, NAT_PORTS, at=snat.at)


def _span(group: SnatGroup) -> int:
    return group.high - group.low + 1


def _is_dense(group: SnatGroup) -> bool:
    """Whether its ports lie so close that a rule must have named a range: otherwise they are those of the clients,
    which no two connections of one client have side by side."""
    return group.used >= SIDE_BY_SIDE and 10 * group.used >= 9 * _span(group)


def _evidence(window: Window, measure: Measure) -> list[str]:
    group = measure.about
    if not isinstance(group, SnatGroup):
        return ["no source address is translated in this namespace right now"]
    lines = [f"{group.used:,} translated ports towards this destination, from {group.low} to {group.high}"]
    if measure.limit == NAT_PORTS:
        lines.append("limit 64,512: ports 1024–65535, where the rule gives no range of its own")
    else:
        lines.append("they fill the whole stretch while packets are dropped: the rule gives that range")
    if measure.hit:
        lines += moved(window, FAILED, DROPPED)
        lines.append(
            "new connections get no port: TCP SYNs vanish, UDP sends fail with EPERM (1); nothing is logged"
        )
    return lines


def _remedies(_: Window, measure: Measure) -> list[Remedy]:
    steps = [
        Remedy(
            "application",
            None,
            None,
            "let the clients behind it keep their connections alive and share them: closed ones hold their port"
            " for"
            " net.netfilter.nf_conntrack_tcp_timeout_time_wait",
        ),
        Remedy(
            "addresses",
            None,
            None,
            f"translate to several addresses: each has {measure.limit or NAT_PORTS:,} ports to this destination",
        ),
    ]
    if measure.limit is not None and measure.limit < NAT_PORTS:
        text = "give the rule a wider range of ports, or none; net.netfilter.nf_conntrack_max would not help"
        return [Remedy("application", None, None, text), *steps]
    return steps


SNAT_PORTS = Ceiling(
    id="snat-ports",
    title="SNAT ports",
    unit="ports",
    scope="netns",
    levels=Levels(0.70, 0.85),
    what="when no translated port is free towards a destination, packets of new connections to it are dropped",
    measure=_snat_ports,
    evidence=_evidence,
    proofs=(FAILED,),
    remedies=_remedies,
    words=Words(
        counted="Different source ports that connections translated to one address have towards one destination"
        " and"
        " port, from the connection tracking table. Source ports of 1024 and above become 1024–65535 unless the"
        " rule"
        " names a range; net.ipv4.ip_local_port_range has no say in it.",
        shows=(
            "conntrack insert_failed and drop, both, one for each packet; a full table moves drop alone",
            "TCP connections hang in SYN_SENT; UDP sends of this host fail with EPERM (1)",
            "no line in the kernel's log",
        ),
        live="more addresses or a wider range in the rule (nft, iptables), at once for new connections",
        lasting="the firewall's own configuration",
        costs="An address more. The search for a free port is random and gives up early, so that failures can"
        " begin"
        " before the last port is taken.",
        myths=(
            "nf_conntrack_max does not help: the table is not full.",
            "The clients' ip_local_port_range does not limit what they are translated to.",
        ),
        keys=("net.netfilter.nf_conntrack_tcp_timeout_time_wait",),
        source="net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple()",
    ),
)
