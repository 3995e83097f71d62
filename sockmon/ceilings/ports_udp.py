"""Ephemeral UDP ports: one pool for the whole namespace, whatever the destination."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, largest, number, unknown
from sockmon.ceilings.ports import RANGE, held
from sockmon.model.report import Remedy
from sockmon.model.snapshot import UdpPorts


def _udp_ports(window: Window) -> Iterator[Measure]:
    udp = window.netns.udp
    if udp is None:
        yield unknown(window.netns.name, window.why_missing("udp ports"))
        return
    yield Measure(window.netns.name, udp.used, udp.usable, at=udp.at, focus=largest(udp.owners), about=udp)


def _evidence(_: Window, measure: Measure) -> list[str]:
    udp = measure.about
    assert isinstance(udp, UdpPorts)
    lines = [
        f"{udp.used:,} ports of {udp.low}–{udp.high} are held by UDP sockets, on whatever address",
        f"usable {udp.usable:,} = {udp.high - udp.low + 1:,} − {udp.reserved:,} reserved, for all destinations"
        " together",
    ]
    if udp.owners:
        lines.append("held by " + ", ".join(map(held, udp.owners[:5])))
    if udp.used >= udp.usable:
        lines.append(
            "connect() and sendto() of a socket that is not bound fail with EAGAIN (11); no counter shows it"
        )
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    udp = measure.about
    assert isinstance(udp, UdpPorts)
    who = f"{udp.owners[0].name}[{udp.owners[0].pid}]" if udp.owners else "the client"
    steps = [
        Remedy(
            "application",
            None,
            None,
            f"let {who} use one socket for many destinations, or close those it has done with",
        ),
        Remedy(
            "addresses",
            None,
            None,
            f"bind sockets to an address, bind(address, 0): each local address has {udp.usable:,} ports of its"
            " own,"
            " less those that sockets without an address hold",
        ),
    ]
    low = max(number(window.netns.sysctls, "net.ipv4.ip_unprivileged_port_start") or 1024, 1024)
    gain = (65535 - low + 1) - (udp.high - udp.low + 1)
    if gain > 0:
        text = f"{udp.usable:,} → {udp.usable + gain:,} ports for new sockets at once; TCP's range grows with it"
        steps.append(Remedy("sysctl", RANGE, f"{low} 65535", text))
    return steps


UDP_PORTS = Ceiling(
    id="udp-ports",
    title="UDP ports",
    unit="ports",
    scope="netns",
    levels=Levels(0.70, 0.85),
    what="when every UDP port of the range is held, a socket that is not bound cannot send: EAGAIN",
    measure=_udp_ports,
    evidence=_evidence,
    remedies=_remedies,
    words=Words(
        counted="Different local ports inside net.ipv4.ip_local_port_range that UDP sockets of either family"
        " hold, from"
        " sock_diag. A socket that is not bound asks for a port that is free on every address, so the destination"
        " does not matter, as it does for TCP. An IPv4 socket may still get a port that is held on an IPv6 address"
        " alone.",
        shows=(
            "connect() or sendto() of an unbound socket: EAGAIN (11), resource temporarily unavailable",
            "bind(address, 0): EADDRINUSE (98)",
            "no counter and no line in the kernel's log",
        ),
        live="sysctl net.ipv4.ip_local_port_range, at once, for new sockets of this namespace",
        lasting="a file in /etc/sysctl.d; for a container the runtime's own setting (--sysctl)",
        costs="A port costs nothing; what listens inside a wider range can find its port taken, so reserve it"
        " first in"
        " net.ipv4.ip_local_reserved_ports.",
        myths=("More destinations do not help: they all draw on one pool.",),
        keys=(RANGE, "net.ipv4.ip_local_reserved_ports"),
        source="net/ipv4/udp.c, udp_lib_get_port()",
    ),
)
