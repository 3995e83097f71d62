"""What fills the connection tracking table: the largest sources, destinations, ports and groups."""

from __future__ import annotations

import msgspec

MAX_TOPS = 10
"""Rows of each Top at most."""


class TopRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Entries that have something in common: those of the fields that are set."""

    entries: int
    """At least so many; exactly, if `missed` is 0."""
    source: str | None = None
    """Source address of the original direction."""
    destination: str | None = None
    """Destination address of the original direction, before it is translated."""
    protocol: str | None = None
    port: int | None = None
    """Destination port of the original direction, of `protocol`; None for a protocol without ports."""
    zone: int | None = None
    missed: int = 0
    """At most so many more entries were not counted, because memory for the count is bounded."""


class Top(msgspec.Struct, frozen=True, gc=False):
    """The largest of one kind."""

    rows: tuple[TopRow, ...]
    """Largest first."""
    others: int
    """Entries that are in none of the rows; at most so many if a row has `missed`."""
    distinct: int | None
    """How many different ones there are; None if there are more than are counted."""


class ConntrackTops(msgspec.Struct, frozen=True, gc=False):
    """The largest of each kind, all from one walk over the table."""

    entries: int
    """Entries that were walked over; shares are relative to it."""
    sources: Top
    destinations: Top
    ports: Top
    """Protocol and destination port; `others` includes entries without ports."""
    groups: Top
    """Source, destination, protocol and destination port."""
    zones: Top
    assured: int
    """Entries that the kernel never evicts early."""
    source_nat: int
    """Entries whose source is translated."""
    destination_nat: int
