"""Addresses and rules of one network namespace, read on request: links, addresses, routes, neighbours, NAT."""

from __future__ import annotations

import msgspec

from sockmon.model.missing import Missing
from sockmon.model.nat_rules import NatRules

MAX_ROWS = 200
"""Rows of each kind that a NetnsDetail lists at most; the totals count all."""


class NetnsQuery(msgspec.Struct, frozen=True, tag="netns", tag_field="focus"):
    """Ask about the addresses and rules of one network namespace."""

    inode: int


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """One network device. Counters are those since it was made (struct rtnl_link_stats64)."""

    index: int
    name: str
    kind: str = ""
    """veth, bridge, vlan, ...; empty for hardware and the loopback device."""
    up: bool = False
    """Whether it is switched on."""
    state: str = ""
    """What the kernel says of its operation: UP, DOWN, LOWERLAYERDOWN, UNKNOWN, ..."""
    mtu: int = 0
    queue_length: int = 0
    """txqueuelen."""
    qdisc: str = ""
    rx_packets: int = 0
    tx_packets: int = 0
    rx_errors: int = 0
    tx_errors: int = 0
    rx_dropped: int = 0
    rx_missed: int = 0
    """Dropped by the hardware because the ring was full."""
    tx_dropped: int = 0
    waiting: int | None = None
    """Packets, or bytes if `in_bytes`, in its fullest queue; None if it has no queue."""
    limit: int | None = None
    in_bytes: bool = False
    queue_dropped: int | None = None
    """Dropped by its queues."""

    @property
    def lost(self) -> int:
        """Return all errors and drops."""
        counts = self.rx_errors, self.tx_errors, self.rx_dropped, self.tx_dropped, self.rx_missed
        return sum(counts) + (self.queue_dropped or 0)


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """One address of a link."""

    link: int
    """Index of the link."""
    address: str
    """`192.0.2.1/24`."""
    scope: str
    """global, site, link, host, or a number."""
    flags: tuple[str, ...] = ()
    """deprecated, tentative, dadfailed, secondary, temporary, ..."""
    peer: str = ""


class Route(msgspec.Struct, frozen=True, omit_defaults=True):
    """One route."""

    family: int
    """4 or 6."""
    table: str
    """main, default, or its number."""
    destination: str
    """`default` or a network."""
    kind: str = "unicast"
    """unicast, blackhole, unreachable, prohibit, ..."""
    via: tuple[str, ...] = ()
    """Gateways; several share the traffic."""
    device: str = ""
    source: str = ""
    """The address that connections get (RTA_PREFSRC)."""
    metric: int | None = None


class PolicyRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule that chooses a routing table."""

    family: int
    priority: int
    selector: str
    """`from 10.0.0.0/8 fwmark 0x5`, or `from all`."""
    action: str
    """`lookup main`, `unreachable`, ..."""


class NeighbourCount(msgspec.Struct, frozen=True):
    """The neighbours of one link and family, by state."""

    family: int
    link: int
    states: dict[str, int]
    """REACHABLE, STALE, FAILED, PERMANENT, NOARP, ..."""


class IpvsDestination(msgspec.Struct, frozen=True):
    """One real server of a service of IPVS."""

    address: str
    """With its port."""
    method: str
    """Masq, Route, Tunnel, Local."""
    weight: int
    active: int
    inactive: int


class IpvsService(msgspec.Struct, frozen=True):
    """One virtual service of IPVS."""

    protocol: str
    """TCP, UDP, SCTP, or FWM: a mark in place of an address."""
    address: str
    scheduler: str
    destinations: tuple[IpvsDestination, ...]
    """At most 50."""
    destinations_total: int


class NetnsDetail(msgspec.Struct, frozen=True, tag="netns-detail", tag_field="type"):
    """The answer: at most MAX_ROWS of each kind, and how many there are. A kind that could not be read is in
    `missing`, and its total is None."""

    at: float
    query: NetnsQuery = msgspec.field(name="focus")
    missing: tuple[Missing, ...] = ()
    links: tuple[Link, ...] = ()
    links_total: int | None = None
    addresses: tuple[Address, ...] = ()
    addresses_total: int | None = None
    routes: tuple[Route, ...] = ()
    """Default routes first, then those of the table main, then others; without the table local."""
    routes_total: int | None = None
    """Without the table local."""
    local_routes: int | None = None
    """Routes of the table local: the kernel adds one for each address."""
    rules: tuple[PolicyRule, ...] = ()
    rules_total: int | None = None
    neighbours: tuple[NeighbourCount, ...] = ()
    neighbours_total: int | None = None
    """Entries of all links."""
    nat: NatRules | None = None
    ipvs: tuple[IpvsService, ...] = ()
    ipvs_total: int | None = None
    """None: the kernel has no IPVS, or it could not be read."""
    seconds: float | None = None
    """How long reading took."""
