"""The ephemeral TCP ports of a network namespace."""

from __future__ import annotations

import msgspec

from sockmon.model.processes import Owner


class PortGroup(msgspec.Struct, frozen=True):
    """Local ports in use towards one destination; if they are exhausted, connect() fails with EADDRNOTAVAIL.

    v4-mapped IPv6 addresses are counted with IPv4, as the kernel does.
    """

    source: str
    destination: str
    port: int
    used: int
    """Different local ports of the range in use, in any state."""
    time_wait: int
    owners: tuple[Owner, ...]
    """Largest first; sockets in TIME_WAIT have no owner."""
    blocked_by_bound: int = msgspec.field(default=0, name="poisoned")
    """Usable ports that this group cannot get because sockets of `Ports.sources` are bound to them; 0 for a group
    of such a source."""
    device: str = ""
    """What its sockets are bound to (SO_BINDTODEVICE, or a link-local address); they share no ports with sockets
    of another device."""
    taken_unbound: int = 0
    """Ports that sockets of the same addresses have and that are bound to no device: this group, which is bound to
    one, cannot get them, but not the other way."""
    window: tuple[int, int] | None = None
    """Between these it has all usable ports, and few outside: what connect() does only for sockets with a range of
    their own (IP_LOCAL_PORT_RANGE), or did when the sysctl was narrower."""


class BoundSource(msgspec.Struct, frozen=True):
    """A source address whose sockets appear to be bound before they connect: bind(address, 0).

    Such a port serves one destination only, and no other connect() in the namespace gets it."""

    source: str
    used: int
    """Different local ports of the range, to all destinations together."""
    idle: int
    """Ports among them that are bound but not connected."""
    time_wait: int
    destinations: int
    shared: int
    """Ports that serve more than one destination, which a bound port cannot."""
    expected: float
    """Ports that would be shared if the kernel had chosen them at connect()."""
    odd: float
    """Share of the ports that have the other parity than the range's first: bind(0) takes those first,
    connect() last."""
    owners: tuple[Owner, ...]
    proved: bool = False
    """True if the kernel was asked and had no port for anybody, and no other source uses many of these."""
    numbered: int = 0
    """Ports among them whose number was given to bind(), which sock_diag reports."""
    device: str = ""
    """What its sockets are bound to; see PortGroup."""
    blocked: int = 0
    """Ports that bind() cannot give it because sockets of 0.0.0.0 or ::, or of another device, have them; if it is
    0.0.0.0 or :: itself, those of any address that it stands for."""


class Ports(msgspec.Struct, frozen=True):
    """Ephemeral TCP ports of a namespace, by (source, destination, destination port)."""

    at: float
    low: int
    high: int
    reserved: int
    """Ports of the range in net.ipv4.ip_local_reserved_ports."""
    listening: tuple[int, ...]
    """Ports of the range used by listeners, without reserved ones."""
    bound: tuple[int, ...] | None
    """Other ports of the range used by bound, unconnected sockets; None if this kernel does not show them."""
    usable: int
    """Ports that connect() may take towards one destination."""
    groups: tuple[PortGroup, ...]
    """The largest groups, largest first."""
    groups_total: int
    other_used: int
    """Sockets of the groups that are not listed."""
    sources: tuple[BoundSource, ...] = ()
    """Source addresses that bind before they connect, most ports first."""
    bound_outside: tuple[int, ...] = msgspec.field(default=(), name="beyond")
    """Ports outside of the range used by bound, unconnected sockets; a wider range would not provide them."""
    lost: int = 0
    """Different ports of the range that bound sockets of any address hold, idle ones included: no connect() of
    another source gets them."""
    lost_sources: int = 0
    """Addresses that hold some of them and are not in `sources`: a few ports each."""
    lost_numbered: int = 0
    """Ports among `lost` whose number was given to bind(), by sockets of any address; sock_diag reports it."""
    lost_owners: tuple[Owner, ...] = ()
    """Owners of their sockets, without those of `sources`."""
    exhausted: bool | None = None
    """True if the kernel was asked for a port to an unused destination, and had none left; None: it was not
    asked, or did not answer."""

    def binds_first(self, group: PortGroup) -> bool:
        """Return whether the sockets of the group's source seem to be bound before they connect."""
        return any((row.source, row.device) == (group.source, group.device) for row in self.sources)
