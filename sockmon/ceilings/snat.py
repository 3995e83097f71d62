"""Translated source ports (SNAT, masquerade): one pool for each (address, destination, destination port)."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.conntrack import CHAIN_TOO_LONG, DROP, INSERT_FAILED, clashes
from sockmon.ceilings.evidence import HANDSHAKES, delta_lines
from sockmon.ceilings.measuring import unread_measure
from sockmon.ceilings.remedies import addresses, application
from sockmon.ceilings.source_addresses import OtherSources, addresses_needed, other_sources
from sockmon.format import plural
from sockmon.model.nat_rules import NAT_PORTS, SnatRange
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Netns, SnatGroup

MIN_CLASHES = 5
"""Dropped packets from which on it is not chance: two flows can clash once, as the two queries of a resolver do,
but a client without a free port retries, so that many are dropped."""
MIN_DENSE_PORTS = 8
"""Ports from which on a dense range is not chance."""


def group_label(group: SnatGroup) -> str:
    """Return `192.0.2.1 → 10.0.0.9:443`, `192.0.2.1 → 10.0.0.9:53 udp`."""
    destination = f"[{group.destination}]" if ":" in group.destination else group.destination
    protocol = "" if group.protocol == "tcp" else f" {group.protocol}"
    return f"{group.address} → {destination}:{group.port}{protocol}"


def nat_clashes(window: Window) -> int:
    """Return the packets that were dropped because no translated tuple was free: each counts in both."""
    return max(0, min(clashes(window), window.deltas.get(DROP, 0)))


def _snat_ports(window: Window) -> Iterator[Measure]:
    snat = window.netns.snat
    if snat is None:
        yield unread_measure(window.netns.name, window.missing("snat"))
        return
    clashed = nat_clashes(window)
    for group in snat.groups:
        limit = _limit(group, clashed)
        used = group.used if group.in_range is None else group.in_range
        pinned = not clashed and limit < MIN_DENSE_PORTS
        yield Measure(
            group_label(group),
            used,
            limit,
            hit=clashed > 0 and (limit < NAT_PORTS if group.range is None else 10 * used >= 9 * limit),
            at=snat.at,
            payload=group,
            # A rule that names a port or two means these, for one flow each: they are in use and nobody waits.
            effective_used=0 if pinned else None,
        )
    if not snat.groups:
        yield Measure(window.netns.name, 0, NAT_PORTS, at=snat.at)


def _limit(group: SnatGroup, clashed: int) -> int:
    """Return how many ports the group can have: what the rules say, else the span that it fills while packets are
    dropped, else the kernel's default."""
    if group.range is not None:
        return group.range.size
    return _span(group) if clashed >= MIN_CLASHES and _is_dense(group) else NAT_PORTS


def _span(group: SnatGroup) -> int:
    return group.high - group.low + 1


def _is_dense(group: SnatGroup) -> bool:
    """Return whether its ports are so dense that a rule must have named a range: otherwise they are those of the
    clients, and no two connections of one client have adjacent ports."""
    return group.used >= MIN_DENSE_PORTS and 10 * group.used >= 9 * _span(group)


def fills_range(group: SnatGroup) -> bool:
    """Return whether it has all ports between its first and its last, as if a rule had named these."""
    return _is_dense(group) and group.used == _span(group)


def clashed_before(netns: Netns) -> bool:
    """Return whether packets were dropped since boot because no translated port was free, by counters that nothing
    else has moved, and a group still fills a range."""
    if netns.conntrack is None or netns.snat is None:
        return False
    drop, failed, chain = (
        netns.conntrack.stats.get(name.removeprefix("conntrack."), 0)
        for name in (DROP, INSERT_FAILED, CHAIN_TOO_LONG)
    )
    return drop >= MIN_CLASHES and drop == failed - chain and any(map(fills_range, netns.snat.groups))


def _evidence(window: Window, measure: Measure) -> list[str]:
    group = measure.payload
    if not isinstance(group, SnatGroup):
        return ["no source address is translated in this namespace right now"]
    lines = [f"{group.used:,} translated ports towards this destination, from {group.low} to {group.high}"]
    lines += _limit_evidence(group, measure.limit)
    if measure.hit:
        lines += delta_lines(window, INSERT_FAILED, DROP, *HANDSHAKES)
        lines.append(
            "new connections get no port: TCP SYNs are lost, UDP sends fail with EPERM (1), nothing is logged"
        )
    return lines


def _limit_evidence(group: SnatGroup, limit: int | None) -> list[str]:
    if group.range is not None:
        return _range_evidence(group.range)
    why = f"{group.range_reason}; " if group.range_reason else ""
    if limit != NAT_PORTS:
        return [f"{why}they fill the whole range while packets are dropped: the rule names that range"]
    lines = [f"{why}limit {NAT_PORTS:,}: ports 1024–65535, if the rule names no range of its own"]
    if fills_range(group):
        lines.append(
            f"they are all ports of {group.low}–{group.high}: if the rule names this range, none is free; then"
            " insert_failed and drop of conntrack move with each new connection"
        )
    return lines


def _range_evidence(found: SnatRange) -> list[str]:
    ports = f"{found.low}–{found.high}"
    named = (
        f"limit {found.size:,}: the rule names ports {ports}"
        if found.low != found.high
        else (f"limit 1: the rule names port {found.low}")
    )
    if not found.named:
        named = f"limit {found.size:,}: ports {ports}, because the rule names none"
    others = f"; {plural(found.rules - 1, 'other rule')} with the same ports" if found.rules > 1 else ""
    return [named, f"{found.rule}{others}"]


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    limit = measure.limit or NAT_PORTS
    group = measure.payload
    others = OtherSources((), "")
    if isinstance(group, SnatGroup):
        needed = addresses_needed(group.used, limit)
        others = other_sources(window, group.address, group.destination, needed)
    steps = [
        application(
            "let the clients behind it keep and share their connections: a closed one holds its port for"
            " net.netfilter.nf_conntrack_tcp_timeout_time_wait"
        ),
        addresses(
            f"translate to several addresses: each has {limit:,} ports to this destination{others.note}",
            others.addresses,
        ),
    ]
    if limit < NAT_PORTS:
        text = "name a wider range of ports in the rule, or none; net.netfilter.nf_conntrack_max would not help"
        return [application(text), *steps]
    return steps


SNAT_PORTS = Ceiling(
    id="snat-ports",
    title="SNAT ports",
    unit="ports",
    scope="netns",
    per="translated address and destination",
    levels=Levels(0.70, 0.85),
    consequence="when no translated port to a destination is free, packets of new connections to it are dropped",
    measure=_snat_ports,
    evidence=_evidence,
    hit_counters=(INSERT_FAILED,),
    needs_movement=True,
    remedies=_remedies,
    manual=Manual(
        measurement="The different source ports that connections translated to one address have towards one"
        " destination and port, from the connection tracking table. Source ports of 1024 and above become"
        " 1024–65535 unless the rule names a range; net.ipv4.ip_local_port_range does not apply. The rules of"
        " nftables and iptables are read once an address has 32 ports in use: what they name is the limit.",
        symptoms=(
            "`insert_failed` and `drop` of conntrack both move, by one for each packet; a full table moves `drop`"
            " alone",
            "TCP connections hang in SYN_SENT; UDP sends of this host fail with EPERM (1)",
            "the kernel logs nothing",
        ),
        raise_now="Use more addresses or a wider range in the rule (nft, iptables), which takes effect at once"
        " for new connections.",
        persist="Change the configuration of the firewall.",
        cost="One more address. The search for a free port is random and gives up early, so failures can begin"
        " before the last port is in use.",
        misconceptions=(
            "nf_conntrack_max does not help: the table is not full.",
            "ip_local_port_range of the clients does not limit the ports that they are translated to.",
        ),
        sysctls=("net.netfilter.nf_conntrack_tcp_timeout_time_wait",),
        source="net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple()",
    ),
)
