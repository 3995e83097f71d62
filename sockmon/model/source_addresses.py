"""Addresses of a namespace that the connections to a destination could begin at, besides the present one."""

from __future__ import annotations

import msgspec


class SourcesTowards(msgspec.Struct, frozen=True):
    """The other source addresses for one destination."""

    source: str
    """The address that its connections have now."""
    destination: str
    """Empty: for any destination; then no route was asked for."""
    device: str
    """What its sockets are bound to; empty if to none."""
    addresses: tuple[str, ...]
    """At most 5: of this namespace, of the same family, neither deprecated nor tentative, and with a route to the
    destination."""
    total: int
    """How many there are, of those that were asked about."""
    complete: bool
    """Whether all addresses were asked about; False if the namespace has too many."""


class SourceAddresses(msgspec.Struct, frozen=True):
    """Read only for destinations that use half of their ports, or more."""

    at: float
    rows: tuple[SourcesTowards, ...]

    def towards(self, source: str, destination: str, device: str = "") -> SourcesTowards | None:
        """Return the row of a destination; None if it was not read."""
        wanted = (source, destination, device)
        return next((row for row in self.rows if (row.source, row.destination, row.device) == wanted), None)
