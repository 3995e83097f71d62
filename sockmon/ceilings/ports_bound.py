"""Ports of sockets that are bound before they connect: one pool for each source address, lost to other sockets."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import label_or
from sockmon.ceilings.measuring import largest_owner, unread_measure
from sockmon.ceilings.port_remedies import RANGE, widen_range
from sockmon.ceilings.ports import exhausted_line, owner_sockets, source_label
from sockmon.ceilings.remedies import addresses, application
from sockmon.ceilings.source_addresses import addresses_needed, other_sources
from sockmon.ceilings.time_wait import TIME_WAIT_SECONDS
from sockmon.format import plural
from sockmon.misconceptions import TW_REUSE_BOUND
from sockmon.model.report import Remedy
from sockmon.model.snapshot import BoundSource, Owner, Ports

ANY_ADDRESS = ("0.0.0.0", "::")
"""Sources that take their ports from every address."""


def _bound_ports(window: Window) -> Iterator[Measure]:
    ports = window.netns.ports
    if ports is None:
        yield unread_measure(window.netns.name, window.missing("ports"))
        return
    # Ports that are bound and idle are not lost to the sockets that hold them.
    limit = ports.usable + len(ports.bound or ())
    for source in ports.sources:
        yield Measure(
            source_label(source),
            source.used,
            limit - source.blocked,
            hit=source.used >= limit - source.blocked,
            at=ports.at,
            query=largest_owner(source.owners),
            payload=(ports, source),
        )
    lost = min(limit, ports.lost)
    if not ports.sources or lost > max(source.used for source in ports.sources):
        yield Measure(
            window.netns.name,
            lost,
            limit,
            hit=limit > 0 and (bool(ports.exhausted) or lost >= limit),
            at=ports.at,
            query=largest_owner(_all_owners(ports)),
            payload=(ports, None),
        )


def _all_owners(ports: Ports) -> tuple[Owner, ...]:
    """Return who holds the most ports that are lost to others: the owners of the largest source, or of the small
    sources together."""
    large = ports.sources[0].owners if ports.sources else ()
    return (
        large
        if sum(own.sockets for own in large) > sum(own.sockets for own in ports.lost_owners)
        else (ports.lost_owners)
    )


def _parts(measure: Measure) -> tuple[Ports, BoundSource | None]:
    assert isinstance(measure.payload, tuple)
    ports, source = measure.payload
    return ports, source


def _evidence(_: Window, measure: Measure) -> list[str]:
    ports, source = _parts(measure)
    if source is None:
        return _evidence_of_all(ports)
    lines = [
        f"{source.used:,} ports of {ports.low}–{ports.high} in use to {source.destinations:,} destinations"
        f" together, {source.idle:,} of them bound and idle",
        _inference(ports, source),
        "other sockets of the namespace cannot connect() from these ports, whatever their destination",
    ]
    if source.blocked:
        lines.append(
            f"{source.blocked:,} more are taken from it by sockets that are bound to an address that includes this"
            " one, or that this one includes, or to another device"
        )
    if source.time_wait:
        lines.append(f"{source.time_wait:,} in TIME_WAIT; tcp_tw_reuse does not free ports of bound sockets")
    if source.owners:
        lines.append("held by " + ", ".join(map(owner_sockets, source.owners[:5])))
    lines += exhausted_line(ports)
    if measure.hit:
        lines.append("bind() to this address and port 0 fails with EADDRINUSE (98); no kernel counter moves")
    return lines


def _evidence_of_all(ports: Ports) -> list[str]:
    """Return the evidence about the ports that sockets of any address have bound."""
    if not ports.lost:
        return ["no address has sockets that seem to be bound before they connect"]
    lines = [
        f"{ports.lost:,} ports of {ports.low}–{ports.high} are held by bound sockets: no connect() of another"
        " source gets them, whatever its destination"
    ]
    if ports.sources:
        named = (f"{source_label(source)} {source.used:,}" for source in ports.sources[:3])
        lines.append(f"addresses with the most: {', '.join(named)}")
    if ports.lost_numbered:
        lines.append(
            f"{ports.lost_numbered:,} of them were given to bind() as a number, which sock_diag reports, by"
            f" {plural(len(ports.sources) + ports.lost_sources, 'address', 'addresses')}"
        )
    elif ports.lost_sources:
        lines.append(
            f"{plural(ports.lost_sources, 'address', 'addresses')} with a few ports each seem to be bound first:"
            " many of the ports have the parity that connect() takes last"
        )
    if ports.bound:
        lines.append(f"{len(ports.bound):,} of them are bound and idle")
    if ports.lost_owners:
        lines.append("held by " + ", ".join(map(owner_sockets, ports.lost_owners)))
    return [*lines, *exhausted_line(ports)]


def _inference(ports: Ports, source: BoundSource) -> str:
    """Return what it is inferred from; the kernel does not report it."""
    connected = source.used - source.idle
    if _is_numbered(source):
        return (
            f"bound first: {source.numbered:,} of the ports were given to bind() as a number, which sock_diag"
            " reports"
        )
    if source.proved:
        return "bound first: the kernel has no port for any destination, and no other address holds many of these"
    if source.idle >= connected:
        return "bound: the kernel lists the sockets that are bound and not connected"
    if source.odd >= 0.9:
        return f"bound first: {100 * source.odd:.0f} % of the ports have the parity that connect() takes last"
    if source.expected >= 8:
        return (
            f"bound first: {source.shared:,} ports serve more than one destination; if connect() had chosen them,"
            f" about {source.expected:,.0f} would"
        )
    return f"bound first: the half of {ports.low}–{ports.high} that connect() takes last is full, the other is not"


def _is_numbered(source: BoundSource) -> bool:
    """Return whether most of the ports of `source` were given to bind() as a number."""
    return source.numbered > 0 and 2 * source.numbered >= source.used


def _avoid_bind(who: str, ports: Ports, source: BoundSource | None, limit: int | None) -> str:
    """Return what `who` has to do; IP_BIND_ADDRESS_NO_PORT has no effect on a bind() to a number."""
    number = _is_numbered(source) if source else 0 < ports.lost <= 2 * ports.lost_numbered
    then = f"then each destination has {limit:,} ports; tcp_tw_reuse would not help"
    if number:
        return (
            f"let {who} bind() to port 0 with IP_BIND_ADDRESS_NO_PORT, or not bind, or use port numbers outside of"
            f" {ports.low}–{ports.high}: {then}"
        )
    return f"let {who} set IP_BIND_ADDRESS_NO_PORT before bind(), or not bind: {then}"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    ports, source = _parts(measure)
    owners = source.owners if source else _all_owners(ports)
    who = label_or(owners[0] if owners else None, "the client")
    steps = [application(_avoid_bind(who, ports, source, measure.limit))]
    if source and 2 * source.time_wait >= source.used:
        steps.append(
            application(
                f"let {who} keep its connections open (keep-alive, a pool): each that it closes holds its port for"
                f" {TIME_WAIT_SECONDS} s"
            )
        )
    if source and source.source not in ANY_ADDRESS:
        others = other_sources(
            window, source.source, "", addresses_needed(source.used, measure.limit or 0), source.device
        )
        steps.append(
            addresses(
                f"use more source addresses: each has {measure.limit:,} ports of its own; other sockets still lose"
                f" all of them{others.note}",
                others.addresses,
            )
        )
    return [*steps, *widen_range(window, ports)]


BOUND_PORTS = Ceiling(
    id="bound-ports",
    title="bound ports",
    unit="ports",
    scope="netns",
    per="source address",
    levels=Levels(0.70, 0.85),
    consequence="a socket that is bound before it connects takes a port for all destinations: bind() fails with"
    " EADDRINUSE when none is left",
    measure=_bound_ports,
    evidence=_evidence,
    remedies=_remedies,
    manual=Manual(
        measurement="The different ports of net.ipv4.ip_local_port_range that one source address holds, to all"
        " destinations together and in TIME_WAIT too, if its sockets have called bind(). sock_diag reports that"
        " for a number (INET_DIAG_BC_AUTO); bind(address, 0) is inferred: it prefers the parity that connect()"
        " takes last, and each of its ports serves one destination. The row of the namespace counts the ports that"
        " bound sockets of all addresses hold. If nearly all ports are in use, sockmon asks the kernel for one"
        " to 127.0.0.1:1, with TCP_FASTOPEN_CONNECT: no packet is sent, and the port is released at once. It"
        " takes 10 µs; SOCKMON_NO_PORT_PROBE=1 switches it off, and it needs the 1 in net.ipv4.tcp_fastopen.",
        symptoms=(
            "bind(address, 0) fails with EADDRINUSE (98): address already in use",
            "connect() of other sockets fails with EADDRNOTAVAIL (99), although few ports to their destination"
            " are in use",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="Set IP_BIND_ADDRESS_NO_PORT (IPPROTO_IP) on the sockets of the application, or widen"
        " net.ipv4.ip_local_port_range, which takes effect at once.",
        persist="Change the application; for the range, put the setting in a file in /etc/sysctl.d.",
        cost="Nothing: with IP_BIND_ADDRESS_NO_PORT connect() chooses the port when the destination is known.",
        misconceptions=(
            TW_REUSE_BOUND,
            "SO_REUSEADDR does not give a second destination the same port.",
        ),
        sysctls=(RANGE, "net.ipv4.ip_local_reserved_ports"),
        source="net/ipv4/inet_connection_sock.c, inet_csk_find_open_port(); net/ipv4/inet_hashtables.c,"
        " __inet_hash_connect()",
    ),
)
