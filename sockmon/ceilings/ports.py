"""Ephemeral ports: a limit for each (source, destination, destination port), not for the host, and not for what a
server accepts."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.measuring import unread_measure
from sockmon.ceilings.port_remedies import RANGE, port_remedies
from sockmon.ceilings.time_wait import TIME_WAIT_SECONDS
from sockmon.ceilings.time_wait_reuse import REUSE, reuse_lines, reuse_of, reuses_time_wait
from sockmon.misconceptions import HALF_RANGE, PORT_RANGE, SERVER_PORTS, TIME_WAIT_LENGTH, TW_RECYCLE
from sockmon.model.detail import GroupQuery
from sockmon.model.report import Remedy
from sockmon.model.severity import Severity
from sockmon.model.snapshot import BoundSource, Owner, PortGroup, Ports
from sockmon.port_lists import last_tried

SEARCH_SECONDS_PER_PORT = 28e-9
"""Processor seconds that a connect() past half of the range spends for each port of the range: 0.27 ms with 9,000
ports, 0.8 ms with 28,232 (measured on Linux 6.18)."""
SEARCH_WARNING_SHARE = 0.02
"""Share of a processor spent on that search from which on a warning is given."""
ACTIVE_OPENS = "Tcp.ActiveOpens"
MIN_SEARCH_MS = 0.05
"""Milliseconds of a search below which the number is not shown."""


def group_label(group: PortGroup) -> str:
    """Return `10.0.0.5 → 10.0.0.9:5432`, `fe80::5%eth0 → [fe80::9]:5432`."""
    destination = f"[{group.destination}]" if ":" in group.destination else group.destination
    return f"{source_label(group)} → {destination}:{group.port}"


def source_label(each: PortGroup | BoundSource) -> str:
    """Return `10.0.0.5`, or `10.0.0.5%eth0` if the sockets are bound to a device, as `ss` writes it."""
    return f"{each.source}%{each.device}" if each.device else each.source


def _limit(ports: Ports, group: PortGroup) -> int:
    """Return how many ports connect() can give this group."""
    return _usable(ports) - group.blocked_by_bound - group.taken_unbound


def _ephemeral_ports(window: Window) -> Iterator[Measure]:
    ports = window.netns.ports
    if ports is None:
        yield unread_measure(window.netns.name, window.missing("ports"))
        return
    for group in ports.groups:
        yield _group_measure(window, ports, group)
    if not ports.groups:
        yield Measure(
            window.netns.name, 0, ports.usable, hit=ports.usable == 0, at=ports.at, payload=(ports, None)
        )


def _group_measure(window: Window, ports: Ports, group: PortGroup) -> Measure:
    reuses = reuses_time_wait(window, group)
    pressing = group.used - group.time_wait if reuses else group.used
    limit = _limit(ports, group)
    return Measure(
        group_label(group),
        group.used,
        limit,
        effective_used=pressing if reuses else None,
        hit=pressing >= limit,
        min_severity=_warning_stage(window, ports, group, limit - pressing),
        expires_after=None if reuses else TIME_WAIT_SECONDS,
        expiring=0 if reuses else group.time_wait,
        at=ports.at,
        query=GroupQuery(window.netns.inode, group.source, group.destination, group.port, group.device),
        payload=(ports, group),
    )


def _warning_stage(window: Window, ports: Ports, group: PortGroup, left: int) -> Severity:
    """Return the severity that only this group's circumstances show; `left` ports are not in use."""
    if left == 1 and _may_waste_one(ports):
        return "critical"
    if group.used >= _limit(ports, group) and reuse_of(window, group) == "ambiguous":
        return "warning"
    return "warning" if _search_share(window, ports, group) >= SEARCH_WARNING_SHARE else "ok"


def _search_share(window: Window, ports: Ports, group: PortGroup) -> float:
    """Return the share of a processor that connect() spends on the search for a port of this group.

    Past half of the range it tries every port of the preferred parity first. 0 if no connection is opened, however
    full the range is."""
    taken = group.used - group.time_wait if reuses_time_wait(window, group) else group.used
    if window.seconds < 2 or 2 * taken <= ports.usable:
        return 0.0
    opened = window.deltas.get(ACTIVE_OPENS, 0) / window.seconds
    # The TIME_WAIT sockets of the other groups were opened within the last minute.
    opened_by_others = sum(other.time_wait for other in ports.groups if other is not group) / TIME_WAIT_SECONDS
    return max(0.0, opened - opened_by_others) * ports.usable * SEARCH_SECONDS_PER_PORT


def _may_waste_one(ports: Ports) -> bool:
    """Return whether a connect() may fail although one port is free: one of a range of an odd number of ports is
    not tried each time. Of three it is always the last, which is not usable."""
    return (ports.high - ports.low) % 2 == 0 and ports.high - ports.low > 2


def _usable(ports: Ports) -> int:
    """Return the ports that connect() may take; recordings of before count the third port of a range of three."""
    return min(ports.usable, last_tried(ports.low, ports.high) - ports.low + 1)


def _never_tried(ports: Ports) -> int:
    """Return how many ports connect() never tries: one if the range has three and nothing else takes it."""
    taken = ports.reserved + len(ports.listening) + len(ports.bound or ()) + _usable(ports)
    return max(0, ports.high - ports.low + 1 - taken) if ports.high - ports.low == 2 else 0


def _parts(measure: Measure) -> tuple[Ports, PortGroup | None]:
    assert isinstance(measure.payload, tuple)
    ports, group = measure.payload
    return ports, group


def _range_line(ports: Ports) -> str:
    bound = f" − {len(ports.bound)} bound" if ports.bound else ""
    untried = " − 1 that connect() never tries in a range of three" if _never_tried(ports) else ""
    return (
        f"usable {_usable(ports):,} = {ports.low}–{ports.high} ({ports.high - ports.low + 1:,})"
        f" − {ports.reserved} reserved − {len(ports.listening)} listening{bound}{untried}"
    )


def _evidence(window: Window, measure: Measure) -> list[str]:
    ports, group = _parts(measure)
    if group is None:
        return [_range_line(ports)]
    lines = [f"{group.used:,} local ports in use towards this destination", _range_line(ports)]
    lines += _device_lines(group)
    lines += _window_lines(group)
    lines += _bound_first_lines(ports, group)
    if group.time_wait:
        share = 100 * group.time_wait / max(group.used, 1)
        lines.append(f"{group.time_wait:,} in TIME_WAIT ({share:.0f} %), {TIME_WAIT_SECONDS} s each")
        lines += reuse_lines(window, group)
    if group.owners:
        lines.append("held by " + ", ".join(map(owner_sockets, group.owners)))
    if measure.hit and not ports.binds_first(group):
        lines.append("connect() fails with EADDRNOTAVAIL (99); no kernel counter moves")
    elif 2 * group.used > ports.usable:
        lines += _search_lines(window, ports, group)
        if _may_waste_one(ports) and group.used == ports.usable - 1:
            lines.append("the last port may never be allocated: the range has an odd number of ports")
    return lines


def _device_lines(group: PortGroup) -> list[str]:
    """Return what the device of a group has to do with its ports."""
    if not group.device:
        return []
    lines = [f"its sockets are bound to {group.device}: they share no port with sockets of another device"]
    if group.taken_unbound:
        lines.append(
            f"{group.taken_unbound:,} ports are taken by sockets of the same addresses that are bound to no device"
        )
    return lines


def _window_lines(group: PortGroup) -> list[str]:
    """Return the hint that sockets may have a range of their own, which the kernel does not report."""
    if group.window is None:
        return []
    low, high = group.window
    return [
        f"it has all ports of {low}–{high}: if its sockets have a range of their own (IP_LOCAL_PORT_RANGE), which"
        " sock_diag does not report, connect() fails with EADDRNOTAVAIL now"
    ]


def _bound_first_lines(ports: Ports, group: PortGroup) -> list[str]:
    """Return what sockets that are bound before they connect take from this group."""
    if ports.binds_first(group):
        return ["its sockets seem to be bound before they connect: see bound-ports"]
    if not group.blocked_by_bound:
        return []
    sources = ", ".join(map(source_label, ports.sources[:3])) or "other addresses"
    return [
        f"{group.blocked_by_bound:,} ports are blocked: sockets of {sources} were bound to them first"
        " (bound-ports)",
        *exhausted_line(ports),
    ]


def exhausted_line(ports: Ports) -> list[str]:
    """Return what the kernel answered when it was asked for a port, if it had none."""
    if not ports.exhausted:
        return []
    return ["asked for a port to 127.0.0.1:1, an unused destination, the kernel answers EADDRNOTAVAIL"]


def _search_lines(window: Window, ports: Ports, group: PortGroup) -> list[str]:
    """Return what a group past half of the range costs, although nothing fails yet."""
    milliseconds = 1000 * ports.usable * SEARCH_SECONDS_PER_PORT
    longer = f"takes about {milliseconds:.1g} ms" if milliseconds >= MIN_SEARCH_MS else "takes longer"
    lines = [f"more than half of the range is in use: the port search of each connect() {longer}"]
    share = _search_share(window, ports, group)
    if share >= SEARCH_WARNING_SHARE:
        opened = window.deltas.get(ACTIVE_OPENS, 0) / window.seconds
        lines.append(
            f"connects are slow, but do not fail yet: ActiveOpens {opened:,.0f}/s take about {100 * share:.0f} %"
            " of a processor"
        )
    return lines


def owner_sockets(owner: Owner) -> str:
    """Return `nginx[1044] 512`, or `nginx[1044] about 51,200` if it is an estimate."""
    return f"{process_label(owner)} {'about ' if owner.estimated else ''}{owner.sockets:,}"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    return port_remedies(window, *_parts(measure))


EPHEMERAL_PORTS = Ceiling(
    id="ephemeral-ports",
    title="ephemeral ports",
    unit="ports",
    scope="netns",
    per="source address and destination",
    levels=Levels(0.70, 0.85),
    consequence="when every local port to a destination is in use, connect() to it fails with EADDRNOTAVAIL",
    needs_movement=True,
    measure=_ephemeral_ports,
    evidence=_evidence,
    remedies=_remedies,
    manual=Manual(
        measurement="The different local ports of net.ipv4.ip_local_port_range that sockets of one source address"
        " have towards one destination address and port, in any state, TIME_WAIT included; from sock_diag. Usable"
        " is the range without net.ipv4.ip_local_reserved_ports, without listening ports, and without ports that"
        " bound sockets hold. IPv4 and v4-mapped IPv6 share one pool, IPv6 has another.",
        symptoms=(
            "connect() fails with EADDRNOTAVAIL (99): cannot assign requested address",
            "past half of the range nothing fails, but connect() takes 50 to 100 times longer, all of it processor"
            " time",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="Widen net.ipv4.ip_local_port_range in the namespace of the clients, which takes effect at"
        " once; first reserve the ports of listeners.",
        persist="Put the same setting in a file in /etc/sysctl.d; for a container use the setting of the runtime"
        " (--sysctl), because a new namespace does not inherit the host's value.",
        cost="Nothing for the range itself. A listener inside it may find its port in use after a restart.",
        misconceptions=(SERVER_PORTS, PORT_RANGE, HALF_RANGE, TIME_WAIT_LENGTH, TW_RECYCLE),
        sysctls=(RANGE, "net.ipv4.ip_local_reserved_ports", REUSE, "net.ipv4.tcp_tw_reuse_delay"),
        source="net/ipv4/inet_hashtables.c, __inet_hash_connect()",
    ),
)
