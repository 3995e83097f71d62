"""One network namespace → its part of a Snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from sockmon.agent.paced import Paced
from sockmon.errors import Unreadable
from sockmon.kernel import conntrack, datagrams, netstat, sockstat, sysctl
from sockmon.kernel.bound_sources import idle_bound
from sockmon.kernel.listeners import listeners, unix_listeners
from sockmon.kernel.netlink import Steps, run
from sockmon.kernel.netns import Door
from sockmon.kernel.owners import Owners
from sockmon.kernel.port_groups import Grouped, port_groups
from sockmon.kernel.port_ranges import parse_ranges, reserved_in, usable
from sockmon.kernel.snat import Translated, snat
from sockmon.kernel.tcp_states import RareStates, count_states, states, time_wait_families
from sockmon.kernel.udp_ports import UdpUse, udp_ports
from sockmon.model.snapshot import (
    BoundSource,
    Conntrack,
    DatagramQueue,
    Listener,
    Missing,
    Netns,
    Ports,
    Snat,
    Sockstat,
    States,
    UdpPorts,
)

T = TypeVar("T")

STATES_SHARE, PORTS_SHARE, TABLE_SHARE, OWNERS_SHARE = 0.006, 0.003, 0.0015, 0.002
DATAGRAMS_SHARE, UDP_SHARE, SNAT_SHARE = 0.001, 0.002, 0.0015
LEAST = 0.9
"""Seconds between two runs at least: a little less than the interval at which most people look."""
RANGE, RESERVED = "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"
UDP_OWNERS = 20
"""Owners of UDP ports that are listed: each of a thousand processes may hold one."""
OWNED_GROUPS = 5
"""Groups whose owners are looked up: who holds the sixth largest is asked by opening it."""
MANY_ENTRIES = 5_000_000
"""Entries of a conntrack table beyond which it is not walked: 10 s of a processor for one look."""


class _Ports(NamedTuple):
    """What the walk over the ephemeral range found."""

    ports: Ports
    grouped: Grouped
    time_wait: tuple[int, int] | None


class _Udp(NamedTuple):
    """What the dump of UDP sockets found, and the range that it looked at."""

    low: int
    high: int
    reserved: int
    use: UdpUse


class NetnsSampler:
    """Reads the namespace behind `door`; its dumps are taken in steps."""

    def __init__(self, door: Door, owners: Owners) -> None:
        self.door = door
        self._owners = owners
        self._listening: tuple[Listener, ...] = ()
        self._unowned: set[int] = set()
        self.states: Paced[RareStates] = Paced("states", lambda: count_states(door.walk), STATES_SHARE, LEAST)
        self.ports: Paced[_Ports] = Paced("ports", self._walk_ports, PORTS_SHARE, LEAST)
        self.table: Paced[conntrack.Table] = Paced("conntrack table", self._walk_table, TABLE_SHARE, 2.0)
        self.search: Paced[None] = Paced("owners", self._search_owners, OWNERS_SHARE, LEAST)
        self.scale = datagrams.Scale()
        self.datagrams: Paced[tuple[DatagramQueue, ...]] = Paced(
            "datagrams", self._walk_datagrams, DATAGRAMS_SHARE, 1.0
        )
        self.udp: Paced[_Udp] = Paced("udp ports", self._walk_udp, UDP_SHARE, LEAST)
        self.snat: Paced[Translated] = Paced("snat", self._walk_snat, SNAT_SHARE, 2.0)
        self._attributed: tuple[object, object] = (None, None)
        self._shown_udp: tuple[object, UdpPorts] | None = None
        self._shown_ports: Ports | None = None

    @property
    def paced(self) -> list[Paced[object]]:
        """Work in steps, in the order in which it is begun."""
        sockets = [self.states, self.ports, self.search, self.udp, self.datagrams]
        return [*sockets, self.table, self.snat]  # type: ignore[list-item]

    def close(self) -> None:
        """Let go of what was opened beside the door."""
        self.scale.close()

    def sample(self, missing: list[Missing]) -> Netns:
        """The namespace now, and its dumps as of their own times; what could not be read goes to `missing`."""
        door = self.door
        stat, _ = sockstat.read(door)
        counters = netstat.counters(door, missing)
        found = attempt(missing, lambda: run(listeners(door.cheap)))
        local = attempt(missing, lambda: run(unix_listeners(door.cheap)))
        self._listening = found or ()
        owned = self._with_owners((found or ()) + (local or ())) if found is not None else None
        ports = self.ports.value
        if ports and ports.ports.bound is None:
            missing.append(Missing("ports", "this kernel does not show bound, unconnected sockets"))
        missing += [
            Missing(part.reader, part.reason) for part in self.paced if part.reason and part is not self.search
        ]
        return Netns(
            name=door.name,
            inode=door.inode,
            sockstat=stat,
            counters=counters,
            sysctls=sysctl.read_all(door, missing=missing),
            states=self._states(stat, counters),
            listeners=owned,
            ports=self._ports(),
            conntrack=attempt(missing, self._conntrack),
            udp=self._udp(),
            datagrams=self._datagrams(),
            snat=self._snat(),
        )

    def _states(self, stat: Sockstat, counters: dict[str, int]) -> States | None:
        rare, established = self.states.value, counters.get("Tcp.CurrEstab")
        if rare is None or self.states.at is None or established is None:
            return None
        table = states(rare, stat, established, self._listening, self._families)
        waiting = table["TIME_WAIT"]
        if (waiting.v4 or 0) + (waiting.v6 or 0) != waiting.total:
            # The families were counted earlier than the total: between the two it has moved.
            table["TIME_WAIT"] = replace(waiting, v4=None, v6=None)
        return States(self.states.at, table, rare.half_open)

    @property
    def _families(self) -> tuple[int, int] | None:
        """Sockets in TIME_WAIT of IPv4 and of IPv6, as of the last walk."""
        return self.ports.value.time_wait if self.ports.value else None

    def _with_owners(self, found: Iterable[Listener]) -> tuple[Listener, ...]:
        """Listeners with who accepts."""
        owned = tuple(replace(item, owner=self._owners.owner_of(item.inode)) for item in found)
        self._unowned = {item.inode for item in owned if item.owner is None}
        return owned

    def _datagrams(self) -> tuple[DatagramQueue, ...] | None:
        """The datagram sockets of the last dump, with who reads them."""
        if self.datagrams.value is None:
            return None
        owned = tuple(
            replace(item, owner=self._owners.owner_of(item.inode), at=self.datagrams.at or 0.0)
            for item in self.datagrams.value
        )
        self._unowned |= {item.inode for item in owned if item.owner is None}
        return owned

    def _walk_datagrams(self) -> Steps[tuple[DatagramQueue, ...]]:
        return (yield from datagrams.queues(self.door.walk, self.scale))

    def _search_owners(self) -> Steps[None]:
        """Look for the owners of listeners that the walk has not met."""
        if self._unowned and self._owners.at is not None:
            yield from self._owners.find(self._unowned)

    def _walk_ports(self) -> Steps[_Ports]:
        """Everything about the ephemeral range: who listens and who is bound inside it, and the groups."""
        door = self.door
        low, high = map(int, sysctl.read(door, RANGE).split())
        reserved = parse_ranges(sysctl.read(door, RESERVED))
        found = yield from listeners(door.walk)
        listening = tuple(sorted({item.port for item in found if low <= item.port <= high}))
        kept = [(first, last) for first, last in reserved if last >= low and first <= high]
        idle = yield from idle_bound(door.walk, low, high)
        stat, _ = sockstat.read(door)
        known = self.ports.value.grouped.bound.addresses if self.ports.value else frozenset()
        grouped = yield from port_groups(
            door.walk, low, high, reserved, listening, stat.time_wait > 0, idle=idle, known=known
        )
        families = (yield from time_wait_families(door.walk)) if stat.time_wait else (0, 0)
        others = None if idle is None else _outside(idle.all_ports() - set(listening), kept)
        ports = Ports(
            at=0.0,
            low=low,
            high=high,
            reserved=reserved_in(low, high, reserved),
            listening=_outside(listening, kept),
            bound=others,
            usable=usable(low, high, reserved, listening, others or ()),
            groups=grouped.groups,
            groups_total=grouped.groups_total,
            other_used=grouped.other_used,
            beyond=() if idle is None else tuple(sorted(idle.beyond)),
        )
        return _Ports(ports, grouped, families)

    def _ports(self) -> Ports | None:
        """The last walk, its groups attributed anew when either the walk or the owners are newer."""
        found = self.ports.value
        if found is None or self.ports.at is None:
            return None
        stamp = (self.ports.at, self._owners.at)
        if stamp != self._attributed:
            self._attributed = stamp
            owners = self._owners.count_groups(found.grouped.inodes[:OWNED_GROUPS])
            groups = found.grouped.groups
            owned = [replace(group, owners=tuple(who)) for group, who in zip(groups, owners, strict=False)]
            self._shown_ports = replace(
                found.ports,
                at=self.ports.at,
                groups=(*owned, *groups[OWNED_GROUPS:]),
                sources=self._bound_sources(found.grouped),
            )
        return self._shown_ports

    def _bound_sources(self, grouped: Grouped) -> tuple[BoundSource, ...]:
        if not grouped.bound.sources:
            return ()
        owners = self._owners.count_groups(grouped.bound.inodes)
        return tuple(
            replace(source, owners=tuple(who)) for source, who in zip(grouped.bound.sources, owners, strict=True)
        )

    def _walk_udp(self) -> Steps[_Udp]:
        low, high = map(int, sysctl.read(self.door, RANGE).split())
        reserved = parse_ranges(sysctl.read(self.door, RESERVED))
        use = yield from udp_ports(self.door.walk, low, high, reserved)
        return _Udp(low, high, reserved_in(low, high, reserved), use)

    def _udp(self) -> UdpPorts | None:
        """The last look at UDP, attributed anew when either it or the owners are newer."""
        found, at = self.udp.value, self.udp.at
        if found is None or at is None:
            return None
        stamp = (at, self._owners.at)
        if self._shown_udp is None or self._shown_udp[0] != stamp:
            owners = tuple(self._owners.count(found.use.inodes)[:UDP_OWNERS])
            shown = UdpPorts(at, found.low, found.high, found.reserved, found.use.used, found.use.usable, owners)
            self._shown_udp = (stamp, shown)
        return self._shown_udp[1]

    def _walk_snat(self) -> Steps[Translated]:
        """Translated connections; none are looked for where nothing is tracked."""
        count = conntrack.gauge(self.door).count
        if not count:
            return Translated((), 0)
        if count > MANY_ENTRIES:
            raise Unreadable("snat", f"{count:,} entries are too many to walk")
        return (yield from snat(self.door))

    def _snat(self) -> Snat | None:
        found = self.snat.value
        return Snat(self.snat.at, *found) if found is not None and self.snat.at is not None else None

    def _walk_table(self) -> Steps[conntrack.Table]:
        count = conntrack.gauge(self.door).count
        if count > MANY_ENTRIES:
            raise Unreadable("conntrack table", f"{count:,} entries are too many to walk")
        return (yield from conntrack.table(self.door))

    def _conntrack(self) -> Conntrack:
        gauge = conntrack.gauge(self.door)
        table = self.table.value
        if table is None:
            return gauge
        return replace(gauge, table_at=self.table.at, table=table.entries, unreplied=table.unreplied)


def _outside(ports: Iterable[int], ranges: list[tuple[int, int]]) -> tuple[int, ...]:
    """Those of `ports` that no range has: what is reserved is not taken a second time by who listens there."""
    return tuple(sorted(port for port in ports if not any(low <= port <= high for low, high in ranges)))


def attempt(missing: list[Missing], read: Callable[[], T]) -> T | None:
    """What `read` gives; None, with the reason in `missing`, where it cannot be read."""
    try:
        return read()
    except Unreadable as error:
        missing.append(Missing(error.reader, error.message))
        return None
