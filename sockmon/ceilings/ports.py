"""Ephemeral ports: per (source, destination, destination port), never per host, and never a server's inbound."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, number, unknown
from sockmon.ceilings.time_wait import TIME_WAIT_SECONDS
from sockmon.model.detail import GroupFocus
from sockmon.model.report import Remedy, Severity
from sockmon.model.snapshot import Owner, PortGroup, Ports

LONG_DELAY = 5.0
"""Seconds of net.ipv4.tcp_tw_reuse_delay from which on a port in TIME_WAIT is as good as taken."""
SEARCH = 28e-9
"""Seconds of a processor that a connect() past half of the range spends for each port of the range: 0.27 ms with
9,000 of them, 0.8 ms with 28,232 (measured on Linux 6.18)."""
SLOW = 0.02
"""Share of a processor spent on that search from which on it is worth a warning."""
OPENS = "Tcp.ActiveOpens"
WORTH_SAYING = 0.05
"""Milliseconds of a search below which nobody feels it."""
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
    return reuse == 1 or (reuse == 2 and _is_loopback(group.destination))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        # Only a forged recording has something else there.
        return False


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
        limit = ports.usable - group.poisoned
        yield Measure(
            subject(group),
            group.used,
            limit,
            pressing=pressing if reuses else None,
            hit=pressing >= limit - (wasted and ports.high - ports.low == 2),
            at_least=_stage(window, ports, group, wasted and pressing == limit - 1),
            lasts=None if reuses else TIME_WAIT_SECONDS,
            passing=0 if reuses else group.time_wait,
            at=ports.at,
            focus=GroupFocus(window.netns.inode, group.source, group.destination, group.port),
            about=(ports, group),
        )
    if not ports.groups:
        yield Measure(window.netns.name, 0, ports.usable, hit=ports.usable == 0, at=ports.at, about=(ports, None))


def _stage(window: Window, ports: Ports, group: PortGroup, at_the_last: bool) -> Severity:
    return "critical" if at_the_last else "warning" if _searching(window, ports, group) >= SLOW else "ok"


def _searching(window: Window, ports: Ports, group: PortGroup) -> float:
    """Share of a processor that connect() spends on the search for a port of this group: past half of the range it
    looks at every port of the preferred parity in vain. 0 for a pool that stands still, however full it is."""
    taken = group.used - group.time_wait if _reuses_time_wait(window, group) else group.used
    if window.seconds < 2 or 2 * taken <= ports.usable:
        return 0.0
    opened = window.moved.get(OPENS, 0) / window.seconds
    # What the other groups have in TIME_WAIT was opened towards them within the last minute.
    elsewhere = sum(other.time_wait for other in ports.groups if other is not group) / TIME_WAIT_SECONDS
    return max(0.0, opened - elsewhere) * ports.usable * SEARCH


def _may_waste_one(ports: Ports) -> bool:
    """A range of an odd number of ports can waste one; one of three always does."""
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
    lines += _poison(ports, group)
    if group.time_wait:
        share = 100 * group.time_wait / group.used
        lines.append(f"{group.time_wait:,} in TIME_WAIT ({share:.0f} %), {TIME_WAIT_SECONDS} s each")
        if _reuses_time_wait(window, group):
            reuse = window.netns.sysctls[REUSE]
            lines.append(f"connect() takes those again after {_reuse_delay(window):g} s ({REUSE} = {reuse})")
    if group.owners:
        lines.append("held by " + ", ".join(map(held, group.owners)))
    if measure.hit:
        lines.append("connect() fails with EADDRNOTAVAIL (99); no kernel counter shows it")
    elif 2 * group.used > ports.usable:
        lines += _slow(window, ports, group)
        if _may_waste_one(ports) and group.used == ports.usable - 1:
            lines.append("a range of an odd number of ports may never give out its last one")
    return lines


def _poison(ports: Ports, group: PortGroup) -> list[str]:
    """What sockets that are bound before they connect take from this group."""
    if not ports.sources:
        return []
    if any(source.source == group.source for source in ports.sources):
        return ["its sockets look as if they were bound before they connect: see bound-ports"]
    who = ", ".join(source.source for source in ports.sources[:3])
    return [f"{group.poisoned:,} ports are lost to it: sockets of {who} were bound to them first (bound-ports)"]


def _slow(window: Window, ports: Ports, group: PortGroup) -> list[str]:
    """The price of a group past half of the range, which is no failure yet."""
    milliseconds = 1000 * ports.usable * SEARCH
    longer = f"about {milliseconds:.1g} ms" if milliseconds >= WORTH_SAYING else "longer"
    lines = [f"past half of the range each connect() searches {longer}"]
    share = _searching(window, ports, group)
    if share >= SLOW:
        opened = window.moved.get(OPENS, 0) / window.seconds
        lines.append(
            f"slow connects, not yet failing: ActiveOpens {opened:,.0f}/s cost about {100 * share:.0f} % of a"
            " processor"
        )
    return lines


def held(owner: Owner) -> str:
    """`nginx[1044] 512`, `nginx[1044] about 51,200`."""
    return f"{owner.name}[{owner.pid}] {'about ' if owner.estimated else ''}{owner.sockets:,}"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    ports, group = _parts(measure)
    return [
        *_give_back(ports, group),
        _reuse_connections(window, ports, group),
        *_reuse_time_wait(window, ports, group),
        *widen(window, ports),
        Remedy(
            "addresses",
            None,
            None,
            f"another destination address or port, or another source address, gives {ports.usable:,} more each",
        ),
    ]


def _give_back(ports: Ports, group: PortGroup | None) -> list[Remedy]:
    """Where sockets that were bound before they connect took most of the range from this group."""
    if group is None or not ports.sources or 2 * group.poisoned < ports.usable:
        return []
    source = ports.sources[0]
    who = f"{source.owners[0].name}[{source.owners[0].pid}]" if source.owners else "who binds"
    text = (
        f"let {who} connect from {source.source} without bind(), or with IP_BIND_ADDRESS_NO_PORT (ip(7)): that"
        f" gives {group.poisoned:,} ports back to this destination"
    )
    return [Remedy("application", None, None, text)]


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


def widen(window: Window, ports: Ports) -> list[Remedy]:
    """The widest range, where that is more than there is."""
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
    words=Words(
        counted="Different local ports of net.ipv4.ip_local_port_range that sockets of one source address have"
        " towards"
        " one destination address and port, in any state, TIME_WAIT too; from sock_diag. Usable is the range"
        " without"
        " net.ipv4.ip_local_reserved_ports, without ports that are listened on, and without those that bound"
        " sockets"
        " hold. IPv4 and v4-mapped IPv6 are one pool, IPv6 is another.",
        shows=(
            "connect(): EADDRNOTAVAIL (99), cannot assign requested address",
            "past half of the range, without an error: connect() takes 50 to 100 times longer, all of it"
            " processor time",
            "no counter and no line in the kernel's log",
        ),
        live="sysctl net.ipv4.ip_local_port_range, at once, in the namespace of the clients; reserve the ports of"
        " listeners first",
        lasting="a file in /etc/sysctl.d; for a container the runtime's own setting (--sysctl), because a new"
        " namespace"
        " does not inherit it",
        costs="Nothing for the range itself. What listens inside it can find its port taken after a restart.",
        myths=(
            "A server's inbound connections use none of these ports: they all share the one that it listens on.",
            "tcp_fin_timeout does not shorten TIME_WAIT, which lasts 60 s whatever it says.",
            "tcp_tw_recycle is gone since Linux 4.12, and broke clients behind NAT before that; tcp_tw_reuse is"
            " another.",
            "28,232 is not a limit of the host: it is the default range 32768–60999 towards one destination, and"
            " each"
            " further destination or source address has as many.",
            "The kernel keeps no half of the range back: it can all be used, the second half at a price.",
        ),
        keys=(RANGE, "net.ipv4.ip_local_reserved_ports", REUSE, "net.ipv4.tcp_tw_reuse_delay"),
        source="net/ipv4/inet_hashtables.c, __inet_hash_connect()",
    ),
)
