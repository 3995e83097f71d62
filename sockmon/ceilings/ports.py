"""Ephemeral ports: per (source, destination, destination port), never per host, and never a server's inbound."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, number, unknown
from sockmon.ceilings.time_wait import TIME_WAIT_SECONDS
from sockmon.model.detail import GroupFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Owner, PortGroup, Ports

LONG_DELAY = 5.0
"""Seconds of net.ipv4.tcp_tw_reuse_delay from which on a port in TIME_WAIT is as good as taken."""
RANGE = "net.ipv4.ip_local_port_range"
REUSE = "net.ipv4.tcp_tw_reuse"


def subject(group: PortGroup) -> str:
    """`10.0.0.5 → 10.0.0.9:5432`, `fd00::5 → [fd00::9]:5432`."""
    destination = f"[{group.destination}]" if ":" in group.destination else group.destination
    return f"{group.source} → {destination}:{group.port}"


def _reuses_time_wait(window: Window, group: PortGroup) -> bool:
    """True where connect() soon takes a port in TIME_WAIT again: tcp_tw_reuse 1, or 2 (the default) on loopback;
    it needs timestamps (net/ipv4/tcp_ipv4.c, tcp_twsk_unique)."""
    sysctls = window.netns.sysctls
    if number(sysctls, "net.ipv4.tcp_timestamps") == 0 or _reuse_delay(window) > LONG_DELAY:
        return False
    reuse = number(sysctls, REUSE)
    return reuse == 1 or (reuse == 2 and ip_address(group.destination).is_loopback)


def _reuse_delay(window: Window) -> float:
    """Seconds that a port stays in TIME_WAIT before connect() may take it: one before Linux 6.14."""
    return (number(window.netns.sysctls, "net.ipv4.tcp_tw_reuse_delay") or 1000) / 1000


def _ephemeral_ports(window: Window) -> Iterator[Measure]:
    ports = window.netns.ports
    if ports is None:
        yield unknown(window.netns.name, window.why_missing("ports"))
        return
    wasted = _may_waste_one(ports)
    for group in ports.groups:
        reuses = _reuses_time_wait(window, group)
        pressing = group.used - group.time_wait if reuses else group.used
        yield Measure(
            subject(group),
            group.used,
            ports.usable,
            pressing=pressing if reuses else None,
            hit=pressing >= ports.usable - (wasted and ports.high - ports.low == 2),
            at_least="critical" if wasted and pressing == ports.usable - 1 else "ok",
            lasts=TIME_WAIT_SECONDS if 2 * group.time_wait > group.used and not reuses else None,
            at=ports.at,
            focus=GroupFocus(window.netns.inode, group.source, group.destination, group.port),
            about=(ports, group),
        )
    if not ports.groups:
        yield Measure(window.netns.name, 0, ports.usable, hit=ports.usable == 0, at=ports.at, about=(ports, None))


def _may_waste_one(ports: Ports) -> bool:
    """A range of an odd number of ports can waste one; one of three always does (ceilings.md, C1)."""
    return (ports.high - ports.low) % 2 == 0 and ports.high > ports.low


def _parts(measure: Measure) -> tuple[Ports, PortGroup | None]:
    assert isinstance(measure.about, tuple)
    ports, group = measure.about
    return ports, group


def _range_words(ports: Ports) -> str:
    bound = f" − {len(ports.bound)} bound" if ports.bound else ""
    return (
        f"usable {ports.usable:,} = {ports.low}–{ports.high} ({ports.high - ports.low + 1:,})"
        f" − {ports.reserved} reserved − {len(ports.listening)} listening{bound}"
    )


def _evidence(window: Window, measure: Measure) -> list[str]:
    ports, group = _parts(measure)
    if group is None:
        return [_range_words(ports)]
    lines = [f"{group.used:,} local ports taken towards this destination", _range_words(ports)]
    if group.time_wait:
        share = 100 * group.time_wait / group.used
        lines.append(f"{group.time_wait:,} in TIME_WAIT ({share:.0f} %), {TIME_WAIT_SECONDS} s each")
        if _reuses_time_wait(window, group):
            reuse = window.netns.sysctls[REUSE]
            lines.append(f"connect() takes those again after {_reuse_delay(window):g} s ({REUSE} = {reuse})")
    if group.owners:
        lines.append("held by " + ", ".join(map(_held, group.owners)))
    if measure.hit:
        lines.append("connect() fails with EADDRNOTAVAIL (99); no kernel counter shows it")
    elif 2 * group.used > ports.usable:
        lines.append("past half of the range each connect() searches 50 to 100 times longer")
        if _may_waste_one(ports) and group.used == ports.usable - 1:
            lines.append("a range of an odd number of ports may never give out its last one")
    return lines


def _held(owner: Owner) -> str:
    return f"{owner.name}[{owner.pid}] {'about ' if owner.estimated else ''}{owner.sockets:,}"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    ports, group = _parts(measure)
    return [
        _reuse_connections(window, ports, group),
        *_reuse_time_wait(window, ports, group),
        *_widen(window, ports),
        Remedy(
            "addresses",
            None,
            None,
            f"another destination address or port, or another source address, gives {ports.usable:,} more each",
        ),
    ]


def _reuse_connections(window: Window, ports: Ports, group: PortGroup | None) -> Remedy:
    who = f"{group.owners[0].name}[{group.owners[0].pid}]" if group and group.owners else "the client"
    text = f"let {who} reuse its connections (keep-alive, a pool)"
    if group is None or not _reuses_time_wait(window, group):
        text += (
            f": new ones can only be opened at {ports.usable / TIME_WAIT_SECONDS:,.0f}/s to one destination,"
            f" because TIME_WAIT lasts {TIME_WAIT_SECONDS} s; tcp_fin_timeout does not shorten it"
        )
    return Remedy("application", None, None, text)


def _reuse_time_wait(window: Window, ports: Ports, group: PortGroup | None) -> list[Remedy]:
    if group is None or 10 * group.time_wait < group.used or _reuses_time_wait(window, group):
        return []
    if number(window.netns.sysctls, "net.ipv4.tcp_timestamps") == 0 or _reuse_delay(window) > LONG_DELAY:
        return []
    text = (
        f"frees the {group.time_wait:,} ports in TIME_WAIT for connect() after {_reuse_delay(window):g} s;"
        " needs TCP timestamps"
    )
    return [Remedy("sysctl", REUSE, "1", text)]


def _widen(window: Window, ports: Ports) -> list[Remedy]:
    low = max(number(window.netns.sysctls, "net.ipv4.ip_unprivileged_port_start") or 1024, 1024)
    gain = (65535 - low + 1) - (ports.high - ports.low + 1)
    if gain <= 0:
        return []
    text = (
        f"about {ports.usable:,} → {ports.usable + gain:,} ports to each destination, for new connections at"
        " once, in this namespace; put listeners' ports into net.ipv4.ip_local_reserved_ports first"
    )
    return [Remedy("sysctl", RANGE, f"{low} 65535", text)]


EPHEMERAL_PORTS = Ceiling(
    id="ephemeral-ports",
    title="ephemeral ports",
    unit="ports",
    scope="netns",
    levels=Levels(0.70, 0.85),
    what="when every source port to a destination is taken, connect() to it fails with EADDRNOTAVAIL",
    measure=_ephemeral_ports,
    evidence=_evidence,
    remedies=_remedies,
)
