"""Ephemeral UDP ports: one pool for the whole namespace, whatever the destination."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import label_or
from sockmon.ceilings.measuring import largest_owner, unread_measure
from sockmon.ceilings.port_remedies import RANGE, node_ports_note, wider_range
from sockmon.ceilings.ports import owner_sockets
from sockmon.ceilings.remedies import addresses, application
from sockmon.model.report import Remedy
from sockmon.model.snapshot import UdpPorts


def _udp_ports(window: Window) -> Iterator[Measure]:
    udp = window.netns.udp
    if udp is None:
        yield unread_measure(window.netns.name, window.missing("udp ports"))
        return
    query = largest_owner(udp.owners)
    yield Measure(window.netns.name, udp.used, udp.usable, at=udp.at, query=query, payload=udp)


def _evidence(_: Window, measure: Measure) -> list[str]:
    udp = measure.payload
    assert isinstance(udp, UdpPorts)
    lines = [
        f"{udp.used:,} ports of {udp.low}–{udp.high} are held by UDP sockets on any address",
        f"usable {udp.usable:,} = {udp.high - udp.low + 1:,} − {udp.reserved:,} reserved, for all destinations"
        " together",
    ]
    ipv4 = udp.used if udp.used_ipv4 is None else udp.used_ipv4
    if ipv4 < udp.used:
        lines.append(f"{ipv4:,} of them block IPv4 sockets too; the others are on IPv6 addresses")
    if udp.owners:
        lines.append("held by " + ", ".join(map(owner_sockets, udp.owners[:5])))
    if udp.used >= udp.usable:
        which = "socket fail" if ipv4 >= udp.usable else "IPv6 socket fail"
        lines.append(f"connect() and sendto() of an unbound {which} with EAGAIN (11); no counter moves")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    udp = measure.payload
    assert isinstance(udp, UdpPorts)
    who = label_or(udp.owners[0] if udp.owners else None, "the client")
    steps = [
        application(f"let {who} use one socket for many destinations, or close sockets that it no longer needs"),
        addresses(
            f"bind sockets to an address, bind(address, 0): each local address has {udp.usable:,} ports, less"
            " those that sockets without an address hold"
        ),
    ]
    value, gain = wider_range(window, udp.low, udp.high)
    if gain > 0:
        text = (
            f"{udp.usable:,} → {udp.usable + gain:,} ports for new sockets at once; also widens the range of TCP"
            f"{node_ports_note(window)}"
        )
        steps.append(Remedy("sysctl", RANGE, value, text))
    return steps


UDP_PORTS = Ceiling(
    id="udp-ports",
    title="UDP ports",
    unit="ports",
    scope="netns",
    levels=Levels(0.70, 0.85),
    consequence="when every UDP port of the range is in use, an unbound socket cannot send: sendto() fails with"
    " EAGAIN",
    measure=_udp_ports,
    evidence=_evidence,
    remedies=_remedies,
    manual=Manual(
        measurement="The different local ports of net.ipv4.ip_local_port_range that UDP sockets of either family"
        " hold, from sock_diag. An unbound socket needs a port that is free on every address, so the destination"
        " does not matter, unlike for TCP. An IPv4 socket may still get a port that is held on an IPv6 address"
        " alone.",
        symptoms=(
            "connect() or sendto() of an unbound socket fails with EAGAIN (11): resource temporarily unavailable",
            "bind(address, 0) fails with EADDRINUSE (98)",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="Widen net.ipv4.ip_local_port_range, which takes effect at once for new sockets of this"
        " namespace.",
        persist="Put the same setting in a file in /etc/sysctl.d; for a container use the setting of the runtime"
        " (--sysctl).",
        cost="A port costs nothing. A listener inside a wider range may find its port in use: reserve it first in"
        " net.ipv4.ip_local_reserved_ports.",
        misconceptions=("More destinations do not help: they all share one pool.",),
        sysctls=(RANGE, "net.ipv4.ip_local_reserved_ports"),
        source="net/ipv4/udp.c, udp_lib_get_port()",
    ),
)
