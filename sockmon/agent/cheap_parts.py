"""What one visit reads of a network namespace, at little cost: sockets, counters, listeners, conntrack.

Most namespaces of a host are idle, so what a cheaper number shows to be unchanged is not read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from sockmon.agent.part import read_or_missing
from sockmon.kernel import conntrack, netstat, sockstat, sysctl
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.model.snapshot import Conntrack, Listener, Missing, Sockstat

SYSCTL_SECONDS = 60.0
"""Age up to which sysctls are not read again: they rarely change, and are the most expensive part."""
QUIET_SECONDS = 30.0
"""Age up to which a part is not read again if a cheaper number says that it has not changed."""
_LISTENER_COUNTERS = ("TcpExt.ListenOverflows", "TcpExt.ListenDrops", "Tcp.CurrEstab", "Tcp.PassiveOpens")
_COUNT = "net.netfilter.nf_conntrack_count"

T = TypeVar("T")
ReadListeners = Callable[[list[Missing]], tuple[Listener, ...] | None]


@dataclass(frozen=True)
class Part(Generic[T]):
    """One part, when it was read, and what could not be read of it."""

    value: T | None
    at: float
    missing: tuple[Missing, ...]


class Sockets(NamedTuple):
    """The sockets of the namespace, and the pages of all UDP sockets of the host."""

    own: Sockstat
    udp_pages: int


class Counters(NamedTuple):
    """The counters, and the hash of the text that they were parsed from."""

    values: dict[str, int]
    digest: int


class CheapParts(NamedTuple):
    """What is known after one visit; None: it could not be read, and `missing` says why."""

    at: float
    sockets: Part[Sockets]
    counted: Part[Counters]
    settings: Part[dict[str, str]]
    listening: Part[tuple[Listener, ...]]
    """Without owners."""
    tracking: Part[Conntrack]

    @property
    def sockstat(self) -> Sockstat | None:
        """Return the sockets of the namespace."""
        return self.sockets.value.own if self.sockets.value else None

    @property
    def udp_pages(self) -> int:
        """Return the pages of all UDP sockets of the host."""
        return self.sockets.value.udp_pages if self.sockets.value else 0

    @property
    def counters(self) -> dict[str, int]:
        """Return the counters by name."""
        return self.counted.value.values if self.counted.value else {}

    @property
    def sysctls(self) -> dict[str, str]:
        """Return the sysctls by key."""
        return self.settings.value or {}

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Return what could not be read."""
        parts = (self.sockets, self.counted, self.settings, self.listening, self.tracking)
        return tuple(dict.fromkeys(entry for part in parts for entry in part.missing))


def read_cheap_parts(
    handle: NetnsHandle,
    read_listeners: ReadListeners,
    now: float,
    before: CheapParts | None,
    every: bool = False,
    sysctl_seconds: float = SYSCTL_SECONDS,
) -> CheapParts:
    """Return the parts as of `now`; those that cannot have changed are those of `before`; `every`: also listeners
    are read again; `sysctl_seconds`: the age up to which sysctls are not."""
    last = before.sockets if before else None
    sockets = _read(last, now, "sockstat", lambda missing: _sockets(handle, missing, last, now))
    counts = before.counted if before else None
    counted = _read(counts, now, "counters", lambda missing: _counters(handle, missing, counts))
    settings = before.settings if before else None
    if settings is None or not settings.value or now - settings.at >= sysctl_seconds:
        settings = _read(settings, now, "sysctls", lambda missing: sysctl.read_all(handle, missing=missing))
    listening = before.listening if before else None
    if before is None or listening is None or every or _listeners_may_differ(sockets, counted, now, before):
        listening = _read(listening, now, "listeners", read_listeners)
    tracked = before.tracking if before else None
    tracking = _read(tracked, now, "conntrack", lambda _: _conntrack(handle, tracked, now))
    return CheapParts(now, sockets, counted, settings, listening, tracking)


def same_values(parts: CheapParts, before: CheapParts) -> bool:
    """Return whether no part differs, but for its age; equal ones are the same object, see `_read`."""
    pairs = (
        (parts.sockets, before.sockets),
        (parts.counted, before.counted),
        (parts.settings, before.settings),
        (parts.listening, before.listening),
        (parts.tracking, before.tracking),
    )
    return all(now.value is old.value and now.missing == old.missing for now, old in pairs)


def _read(before: Part[T] | None, now: float, reader: str, read: Callable[[list[Missing]], T | None]) -> Part[T]:
    """Return what was read, as the object of `before` if it is equal: comparing it again then costs nothing."""
    missing: list[Missing] = []
    value = read_or_missing(missing, reader, lambda: read(missing))
    at = now
    if before is not None and value == before.value:
        # What was not read again is as old as it was.
        at = before.at if value is before.value else now
        value = before.value
        missing += before.missing if at == before.at else ()
    return Part(value, at, tuple(dict.fromkeys(missing)))


def _sockets(handle: NetnsHandle, missing: list[Missing], before: Part[Sockets] | None, now: float) -> Sockets:
    brief, shared = sockstat.parse(handle.read("net/sockstat"), None, None)
    last = before.value if before else None
    # Every socket is in `used`: sockstat6 and protocols tell of which kind it is.
    same = last is not None and _counts(last.own) == _counts(brief)
    if before is not None and last is not None and same and now - before.at < QUIET_SECONDS:
        return last if last.udp_pages == shared.udp_pages else Sockets(last.own, shared.udp_pages)
    own, shared = sockstat.read(handle, missing)
    return Sockets(own, shared.udp_pages)


def _counts(stat: Sockstat) -> tuple[int, ...]:
    return stat.used, stat.tcp_inuse, stat.time_wait, stat.udp_inuse, stat.raw_inuse


def _counters(handle: NetnsHandle, missing: list[Missing], before: Part[Counters] | None) -> Counters:
    texts = _Texts(handle)
    digest = hash(tuple(map(texts.text_or_none, netstat.FILES)))
    if before is not None and before.value is not None and digest == before.value.digest:
        return before.value
    return Counters(netstat.read_counters(texts, missing), digest)


class _Texts:
    """Files of a namespace, each read once."""

    def __init__(self, handle: NetnsHandle) -> None:
        self._handle = handle
        self._known: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        """Return the file; raise ReadError."""
        if path not in self._known:
            self._known[path] = self._handle.read(path)
        return self._known[path]

    def text_or_none(self, path: str) -> bytes | None:
        """Return the file; None if it cannot be read."""
        return read_or_missing([], "counters", lambda: self.read(path))


def _conntrack(handle: NetnsHandle, before: Part[Conntrack] | None, now: float) -> Conntrack:
    """Return the table; without entries its statistics do not move."""
    last = before.value if before else None
    empty = last is not None and before is not None and last.count == 0 and now - before.at < QUIET_SECONDS
    if last is not None and empty and sysctl.read(handle, _COUNT) == "0":
        return last
    return conntrack.read(handle)


def _listeners_may_differ(sockets: Part[Sockets], counted: Part[Counters], now: float, before: CheapParts) -> bool:
    """Return whether a listener or its queue may have changed. The queue of a unix listener is in no counter."""
    known = before.listening.value
    if sockets.value is None or known is None or now - before.listening.at >= QUIET_SECONDS:
        return True
    if sockets.value.own != before.sockstat or any(item.protocol == "unix" or item.queue for item in known):
        return True
    counters = counted.value.values if counted.value else {}
    return any(counters.get(name) != before.counters.get(name) for name in _LISTENER_COUNTERS)
