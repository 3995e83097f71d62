"""Whether connect() reuses ports in TIME_WAIT: what the sysctls allow, and what proves that it happens."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Literal

from sockmon.ceilings.ceiling import Window
from sockmon.ceilings.measuring import sysctl_number
from sockmon.model.snapshot import PortGroup

REUSE = "net.ipv4.tcp_tw_reuse"
TIMESTAMPS = "net.ipv4.tcp_timestamps"
RECYCLED = "TcpExt.TWRecycled"
_LOOPBACK_ONLY = 2  # tcp_tw_reuse 2, the default
MAX_REUSE_DELAY = 5.0
"""Seconds of net.ipv4.tcp_tw_reuse_delay above which a port in TIME_WAIT counts as in use."""

Reuse = Literal["proved", "ambiguous", "unproved", "bound", "off"]
"""`proved`: TWRecycled has moved, and only such groups can have moved it. `ambiguous`: it has moved, but another
destination may be the reason. `unproved`: the sysctls allow it, but TWRecycled has never moved. `bound`: the ports
were chosen by bind(), which reuses none. `off`: the sysctls do not allow it."""


def reuse_of(window: Window, group: PortGroup) -> Reuse:
    """Return whether connect() reuses the ports of `group` that are in TIME_WAIT.

    tcp_tw_reuse 1, or 2 (the default) on loopback, is not enough: the connection that left the port must have had
    timestamps, which needs the peer (net/ipv4/tcp_ipv4.c, tcp_twsk_unique). The kernel does not show that for a
    socket in TIME_WAIT; TWRecycled counts each reuse, since the namespace was made."""
    if not _is_allowed(window, group):
        return "off"
    ports = window.netns.ports
    if ports and ports.binds_first(group):
        return "bound"
    if not window.netns.counters.get(RECYCLED):
        return "unproved"
    if _is_loopback(group) or not ports:
        # Both ends are in this namespace, so both have its timestamps.
        return "proved"
    others = (other for other in ports.groups if other != group and other.time_wait)
    return "ambiguous" if any(_is_allowed(window, other) for other in others) else "proved"


def reuses_time_wait(window: Window, group: PortGroup) -> bool:
    """Return whether ports of `group` in TIME_WAIT count as free."""
    return reuse_of(window, group) in ("proved", "ambiguous")


def reuse_delay(window: Window) -> float:
    """Return the seconds that a port stays in TIME_WAIT before connect() may reuse it: one before Linux 6.14."""
    return (sysctl_number(window.netns.sysctls, "net.ipv4.tcp_tw_reuse_delay") or 1000) / 1000


def reuse_lines(window: Window, group: PortGroup) -> list[str]:
    """Return why the ports in TIME_WAIT count as free, or why they do not although the sysctls allow reuse."""
    setting = f"{REUSE} = {window.netns.sysctls.get(REUSE)}"
    recycled = window.netns.counters.get(RECYCLED)
    reuse = reuse_of(window, group)
    if reuse == "off":
        return _why_off(window, group, setting)
    if reuse == "bound":
        return [f"{setting} does not help: the ports of sockets that are bound before they connect are not reused"]
    if recycled is None:
        return [f"{setting}, but it is not known whether it works: {RECYCLED} could not be read"]
    if reuse == "unproved":
        return [
            f"{setting}, but no port has been reused: TWRecycled is 0 in this namespace; it needs TCP timestamps"
            " of the peer, and a socket that is not bound before it connects"
        ]
    after = f"after {reuse_delay(window):g} s ({setting})"
    if reuse == "ambiguous":
        return [
            f"connect() may reuse those {after}: TWRecycled is {recycled:,}, but it counts all destinations"
            " together, and a peer without TCP timestamps prevents it"
        ]
    return [f"connect() reuses those {after}: TWRecycled is {recycled:,}"]


def _why_off(window: Window, group: PortGroup, setting: str) -> list[str]:
    """Return why a sysctl that is on does not let connect() reuse the ports of `group`."""
    sysctls = window.netns.sysctls
    if not sysctl_number(sysctls, REUSE):
        return []
    if needs_timestamps(window, group):
        return [f"{setting} does not help: it needs TCP timestamps, and {TIMESTAMPS} is 0"]
    if not _is_meant(window, group):
        return [f"{setting} does not help: it is for loopback addresses only"]
    return [f"{setting} helps only after net.ipv4.tcp_tw_reuse_delay, {reuse_delay(window):g} s"]


def _is_allowed(window: Window, group: PortGroup) -> bool:
    sysctls = window.netns.sysctls
    if sysctl_number(sysctls, TIMESTAMPS) == 0 or reuse_delay(window) > MAX_REUSE_DELAY:
        return False
    return _is_meant(window, group)


def _is_meant(window: Window, group: PortGroup) -> bool:
    """Return whether tcp_tw_reuse is on for the destination of `group`."""
    reuse = sysctl_number(window.netns.sysctls, REUSE)
    return reuse == 1 or (reuse == _LOOPBACK_ONLY and _is_loopback(group))


def needs_timestamps(window: Window, group: PortGroup) -> bool:
    """Return whether all that keeps connect() from reuse is that this namespace has no TCP timestamps."""
    return sysctl_number(window.netns.sysctls, TIMESTAMPS) == 0 and _is_meant(window, group)


def _is_loopback(group: PortGroup) -> bool:
    return _is_loopback_address(group.destination)


@lru_cache(1024)
def _is_loopback_address(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        # Only a forged recording has another text there.
        return False
