"""Ports of sockets that were bound before they connected: one pool for each source address, and lost to others."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, largest, unknown
from sockmon.ceilings.ports import RANGE, held, widen
from sockmon.model.report import Remedy
from sockmon.model.snapshot import BoundSource, Ports


def _bound_ports(window: Window) -> Iterator[Measure]:
    ports = window.netns.ports
    if ports is None:
        yield unknown(window.netns.name, window.why_missing("ports"))
        return
    # Ports that are bound and idle are no loss to those who hold them.
    limit = ports.usable + len(ports.bound or ())
    for source in ports.sources:
        yield Measure(
            source.source,
            source.used,
            limit,
            hit=source.used >= limit,
            at=ports.at,
            focus=largest(source.owners),
            about=(ports, source),
        )
    if not ports.sources:
        yield Measure(window.netns.name, 0, limit, at=ports.at, about=(ports, None))


def _parts(measure: Measure) -> tuple[Ports, BoundSource | None]:
    assert isinstance(measure.about, tuple)
    ports, source = measure.about
    return ports, source


def _evidence(_: Window, measure: Measure) -> list[str]:
    ports, source = _parts(measure)
    if source is None:
        return ["no address looks as if its sockets were bound before they connect"]
    lines = [
        f"{source.used:,} ports of {ports.low}–{ports.high} to {source.destinations:,} destinations together,"
        f" {source.idle:,} of them bound and idle",
        _sign(ports, source),
        "connect() of other sockets in the namespace cannot have these ports, whatever their destination",
    ]
    if source.time_wait:
        lines.append(f"{source.time_wait:,} in TIME_WAIT; tcp_tw_reuse does not help sockets that are bound first")
    if source.owners:
        lines.append("held by " + ", ".join(map(held, source.owners[:5])))
    if measure.hit:
        lines.append("bind() to this address and port 0 fails with EADDRINUSE (98); no kernel counter shows it")
    return lines


def _sign(ports: Ports, source: BoundSource) -> str:
    """How it is known; the kernel does not tell."""
    connected = source.used - source.idle
    if source.idle >= connected:
        return "bound: the kernel shows the sockets that are bound and not connected"
    if source.odd >= 0.9:
        return f"bound first: {100 * source.odd:.0f} % of the ports have the parity that connect() takes last"
    if source.expected >= 8:
        return (
            f"bound first: {source.shared:,} ports serve more than one destination, about {source.expected:,.0f}"
            " would if connect() had chosen them"
        )
    return f"bound first: the half of {ports.low}–{ports.high} that connect() takes last is full, the other is not"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    ports, source = _parts(measure)
    who = f"{source.owners[0].name}[{source.owners[0].pid}]" if source and source.owners else "the client"
    return [
        Remedy(
            "application",
            None,
            None,
            f"let {who} set IP_BIND_ADDRESS_NO_PORT before bind(), or not bind: then each destination has"
            f" {ports.usable:,} ports; tcp_tw_reuse does not help",
        ),
        Remedy(
            "addresses",
            None,
            None,
            f"each further source address has {measure.limit:,} ports of its own; other sockets lose them all"
            " the same",
        ),
        *widen(window, ports),
    ]


BOUND_PORTS = Ceiling(
    id="bound-ports",
    title="bound ports",
    unit="ports",
    scope="netns",
    levels=Levels(0.70, 0.85),
    what="sockets that are bound before they connect use a port up for all destinations: bind() fails with"
    " EADDRINUSE",
    measure=_bound_ports,
    evidence=_evidence,
    remedies=_remedies,
    words=Words(
        counted="Different ports of net.ipv4.ip_local_port_range that one source address holds, to all"
        " destinations"
        " together and in TIME_WAIT too, where its sockets look as if bind(address, 0) had chosen them. The"
        " kernel does"
        " not say so; the ports do: bind(0) takes the parity that connect() leaves for last, and its ports serve"
        " one destination each.",
        shows=(
            "bind(address, 0): EADDRINUSE (98), address already in use",
            "other sockets: connect() fails with EADDRNOTAVAIL (99) although their own destination has few ports"
            " in use",
            "no counter and no line in the kernel's log",
        ),
        live="setsockopt(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) in the application; else a wider"
        " net.ipv4.ip_local_port_range, at once",
        lasting="the application's own setting; a file in /etc/sysctl.d for the range",
        costs="Nothing: with IP_BIND_ADDRESS_NO_PORT connect() chooses the port, when the destination is known.",
        myths=(
            "tcp_tw_reuse does not free these ports: a port that was bound stays lost while it is in TIME_WAIT.",
            "SO_REUSEADDR does not give a second destination the same port.",
        ),
        keys=(RANGE, "net.ipv4.ip_local_reserved_ports"),
        source="net/ipv4/inet_connection_sock.c, inet_csk_find_open_port(); net/ipv4/inet_hashtables.c,"
        " __inet_hash_connect()",
    ),
)
