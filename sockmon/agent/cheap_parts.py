"""What one visit reads of a network namespace, at little cost: sockets, counters, listeners, conntrack."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sockmon.agent.part import read_or_missing
from sockmon.kernel import conntrack, netstat, sockstat, sysctl
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.model.snapshot import Conntrack, Listener, Missing, Sockstat

SYSCTL_SECONDS = 60.0
"""Age up to which sysctls are not read again: they rarely change."""
LISTENER_SECONDS = 15.0
"""Age up to which listeners are not read again if no counter shows that a connection came or went."""
_LISTENER_COUNTERS = ("TcpExt.ListenOverflows", "TcpExt.ListenDrops", "Tcp.CurrEstab", "Tcp.PassiveOpens")


ReadListeners = Callable[[list[Missing]], tuple[Listener, ...] | None]


class CheapParts(NamedTuple):
    """What one visit has read; None: it could not be read, and `missing` says why."""

    at: float
    sockstat: Sockstat | None
    udp_pages: int
    """Memory of all UDP sockets of the host."""
    counters: dict[str, int]
    sysctls: dict[str, str]
    sysctls_at: float
    listeners: tuple[Listener, ...] | None
    """Without owners."""
    listeners_at: float
    conntrack: Conntrack | None
    missing: tuple[Missing, ...]


def read_cheap_parts(
    handle: NetnsHandle, read_listeners: ReadListeners, now: float, before: CheapParts | None, every: bool = False
) -> CheapParts:
    """Return the parts as of `now`; those that cannot have changed are those of `before`; `every`: also
    listeners are read again."""
    missing: list[Missing] = []
    found = read_or_missing(missing, "sockstat", lambda: sockstat.read(handle, missing))
    stat, shared = found or (None, None)
    counters = read_or_missing(missing, "counters", lambda: netstat.read_counters(handle, missing)) or {}
    if before is None or now - before.sysctls_at >= SYSCTL_SECONDS or not before.sysctls:
        sysctls, sysctls_at = (
            read_or_missing(missing, "sysctls", lambda: sysctl.read_all(handle, missing=missing)),
            now,
        )
    else:
        sysctls, sysctls_at = before.sysctls, before.sysctls_at
    if before is None or every or _listeners_may_differ(stat, counters, now, before):
        listeners, listeners_at = read_listeners(missing), now
    else:
        listeners, listeners_at = before.listeners, before.listeners_at
    tracking = read_or_missing(missing, "conntrack", lambda: conntrack.read(handle))
    return _unchanged(
        CheapParts(
            at=now,
            sockstat=stat,
            udp_pages=shared.udp_pages if shared else 0,
            counters=counters,
            sysctls=sysctls or {},
            sysctls_at=sysctls_at,
            listeners=listeners,
            listeners_at=listeners_at,
            conntrack=tracking,
            missing=tuple(dict.fromkeys(missing)),
        ),
        before,
    )


def _listeners_may_differ(stat: Sockstat | None, counters: dict[str, int], now: float, before: CheapParts) -> bool:
    """Return whether a listener or its queue may have changed. The queue of a unix listener is in no counter."""
    if stat is None or before.listeners is None or now - before.listeners_at >= LISTENER_SECONDS:
        return True
    if stat != before.sockstat or any(item.protocol == "unix" or item.queue for item in before.listeners):
        return True
    return any(counters.get(name) != before.counters.get(name) for name in _LISTENER_COUNTERS)


def _unchanged(now: CheapParts, before: CheapParts | None) -> CheapParts:
    """Return `now` with the objects of `before` where they are equal: comparing them again then costs nothing."""
    if before is None:
        return now
    same = {
        name: getattr(before, name)
        for name in ("sockstat", "counters", "sysctls", "listeners", "conntrack", "missing")
        if getattr(before, name) == getattr(now, name)
    }
    return now._replace(**same)
