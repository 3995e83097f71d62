"""What to do about ephemeral ports: the application, TIME_WAIT, a wider range and what to reserve with it."""

from __future__ import annotations

from sockmon.ceilings.ceiling import Window
from sockmon.ceilings.evidence import label_or, process_label
from sockmon.ceilings.files import leaks_close_wait
from sockmon.ceilings.measuring import sysctl_number
from sockmon.ceilings.node_ports import RESERVED_PORTS, NodePorts, unreserved_node_ports
from sockmon.ceilings.remedies import addresses, application
from sockmon.ceilings.source_addresses import addresses_needed, other_sources
from sockmon.ceilings.time_wait import TIME_WAIT_SECONDS
from sockmon.ceilings.time_wait_reuse import (
    MAX_REUSE_DELAY,
    REUSE,
    TIMESTAMPS,
    needs_timestamps,
    reuse_delay,
    reuse_of,
)
from sockmon.format import plural
from sockmon.model.report import Remedy
from sockmon.model.snapshot import PortGroup, Ports
from sockmon.port_lists import Ranges, count_in, find_ranges, format_ranges

RANGE = "net.ipv4.ip_local_port_range"


def port_remedies(window: Window, ports: Ports, group: PortGroup | None) -> list[Remedy]:
    """Return what to do if the ports of `group` run out; None: of any destination."""
    leak = _fix_leak(window, group)
    return [
        *leak,
        *_release_bound_ports(ports, group),
        *([] if leak else [_reuse_connections(window, ports, group)]),
        *_reuse_time_wait(window, group),
        *widen_range(window, ports, advised=not leak),
        *_other_addresses(window, ports, group),
    ]


def _other_addresses(window: Window, ports: Ports, group: PortGroup | None) -> list[Remedy]:
    """Return the remedy to use another destination or source, if each has ports that this group has not."""
    free = _reachable(ports, group)
    binds = group is not None and ports.binds_first(group)
    # Where bound sockets block most of the range, another destination has as few.
    if 2 * free < ports.usable or binds or ports.exhausted:
        return []
    text = f"use another destination address or port, or another source address: {free:,} more each"
    if group is None:
        return [addresses(text)]
    full = {
        row.source
        for row in ports.groups
        if (row.destination, row.port) == (group.destination, group.port) and 2 * row.used >= ports.usable
    }
    needed = addresses_needed(group.used, free)
    others = other_sources(window, group.source, group.destination, needed, group.device, full)
    return [addresses(text + others.note, others.addresses)]


def _fix_leak(window: Window, group: PortGroup | None) -> list[Remedy]:
    """Return the remedy if most ports are held by a process that does not close its connections."""
    rows = window.now.processes.rows if window.now.processes else ()
    pid = group.owners[0].pid if group and group.owners else None
    process = next((row for row in rows if row.pid == pid), None)
    if group is None or process is None or not leaks_close_wait(process):
        return []
    if 2 * (process.close_wait or 0) < group.used:
        return []
    return [
        application(
            f"fix {process_label(process)}: it does not close connections that its peers have closed;"
            f" {process.close_wait:,} of its sockets are in CLOSE_WAIT, and each holds a port; no wider range"
            " fixes a leak"
        )
    ]


def _release_bound_ports(ports: Ports, group: PortGroup | None) -> list[Remedy]:
    """Return the remedy if sockets that were bound before they connect took most of the range from this group."""
    if group is None or not ports.sources or 2 * group.blocked_by_bound < ports.usable:
        return []
    source = ports.sources[0]
    who = label_or(source.owners[0] if source.owners else None, "the application")
    others = len(ports.sources) - 1 if source.used < group.blocked_by_bound else 0
    sources = f"{source.source} and {plural(others, 'other address')}" if others else source.source
    return [
        application(
            f"let {who} connect from {sources} without bind(), or with IP_BIND_ADDRESS_NO_PORT (ip(7)): that frees"
            f" {group.blocked_by_bound:,} ports for this destination"
        )
    ]


def _reuse_connections(window: Window, ports: Ports, group: PortGroup | None) -> Remedy:
    who = label_or(group.owners[0] if group and group.owners else None, "the client")
    text = f"let {who} reuse its connections (keep-alive, a pool)"
    reachable = _reachable(ports, group)
    if reachable and (group is None or reuse_of(window, group) != "proved"):
        text += (
            f": TIME_WAIT lasts {TIME_WAIT_SECONDS} s, so at most {_per_time(reachable)} can be opened to one"
            " destination"
        )
    return application(text)


def _reachable(ports: Ports, group: PortGroup | None) -> int:
    """Return how many ports the group can have."""
    return max(ports.usable - (group.blocked_by_bound if group else 0), 0)


def _per_time(usable: int) -> str:
    """Return how many connections the ports allow if each is held for all of TIME_WAIT, which is a minute."""
    if usable < 2 * TIME_WAIT_SECONDS:
        return f"{plural(usable, 'new connection')} a minute"
    return f"{usable // TIME_WAIT_SECONDS:,} new connections a second"


def _reuse_time_wait(window: Window, group: PortGroup | None) -> list[Remedy]:
    if group is None or 10 * group.time_wait < group.used or reuse_of(window, group) != "off":
        return []
    ports = window.netns.ports
    if ports and ports.binds_first(group):
        return []
    delay = reuse_delay(window)
    if needs_timestamps(window, group):
        text = (
            f"lets connect() reuse the ports that later connections leave in TIME_WAIT after {delay:g} s, if their"
            " peer has TCP timestamps too; the ports of now it cannot reuse"
        )
        return [Remedy("sysctl", TIMESTAMPS, "1", text)]
    if sysctl_number(window.netns.sysctls, TIMESTAMPS) == 0 or delay > MAX_REUSE_DELAY:
        return []
    text = (
        f"lets connect() reuse the {group.time_wait:,} ports in TIME_WAIT after {delay:g} s, if their peer has TCP"
        " timestamps too"
    )
    return [Remedy("sysctl", REUSE, "1", text)]


def wider_range(window: Window, low: int, high: int) -> tuple[str, int]:
    """Return the widest range, and how many ports it has more than low–high without NodePorts; at most 0 if there
    is no wider one."""
    start = max(sysctl_number(window.netns.sysctls, "net.ipv4.ip_unprivileged_port_start") or 1024, 1024)
    nodes = _node_ports(window, start, 65535)
    kept = count_in(_reserved(window), nodes.first, nodes.last) if nodes else 0
    lost = nodes.last - nodes.first + 1 - kept if nodes else 0
    return f"{start} 65535", (65535 - start + 1) - (high - low + 1) - lost


def widen_range(window: Window, ports: Ports, advised: bool = True) -> list[Remedy]:
    """Return the remedies to set the widest range, if that is wider than the range now, and to reserve first what
    connect() must not take."""
    value, gain = wider_range(window, ports.low, ports.high)
    if gain <= 0:
        return []
    nodes = _node_ports(window, int(value.split()[0]), 65535)
    also = f"{_node_ports_text(nodes)}, and " if nodes else ""
    text = (
        f"about {ports.usable:,} → {ports.usable + gain:,} ports to each destination, for new connections at"
        f" once, in this namespace; first {also}add the ports of listeners to {RESERVED_PORTS}"
    )
    return [Remedy("sysctl", RANGE, value, text, advised), *_reserve_node_ports(window, nodes, advised)]


def node_ports_note(window: Window) -> str:
    """Return what has to be reserved before the range is the widest; empty if Kubernetes does not run here."""
    nodes = _node_ports(window, 1024, 65535)
    return f"; first {_node_ports_text(nodes)}" if nodes else ""


def _node_ports_text(nodes: NodePorts) -> str:
    return (
        f"reserve {nodes.first}-{nodes.last}, which Kubernetes gives to services (NodePort: {nodes.process} runs"
        " here)"
    )


def _reserve_node_ports(window: Window, nodes: NodePorts | None, advised: bool) -> list[Remedy]:
    if nodes is None or RESERVED_PORTS not in window.netns.sysctls:
        return []
    value = format_ranges([*_reserved(window), (nodes.first, nodes.last)])
    text = (
        f"set it with the wider range: {nodes.first}-{nodes.last} are in use although no socket listens on them,"
        " and an outgoing connection on such a port keeps clients of that service out"
    )
    return [Remedy("sysctl", RESERVED_PORTS, value, text, advised)]


def _node_ports(window: Window, low: int, high: int) -> NodePorts | None:
    return unreserved_node_ports(low, high, _reserved(window), window.kubernetes)


def _reserved(window: Window) -> Ranges:
    return find_ranges(window.netns.sysctls.get(RESERVED_PORTS, ""))
