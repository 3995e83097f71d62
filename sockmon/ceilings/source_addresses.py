"""The remedy that connections begin at other source addresses: which ones there are, or how many are needed."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sockmon.ceilings.ceiling import Window
from sockmon.format import plural

COMFORTABLE = 0.7
"""Part of the ports of each address that may be in use: the warning level of the ceilings of ports."""


class OtherSources(NamedTuple):
    """What is known about the other source addresses of a destination."""

    addresses: tuple[str, ...]
    note: str
    """Such as `; this namespace has others with a route to it: 10.0.0.6, 10.0.0.7`; empty if it is not known."""


def other_sources(
    window: Window,
    source: str,
    destination: str,
    needed: int,
    device: str = "",
    full: Collection[str] = (),
) -> OtherSources:
    """Return the addresses of this namespace from which `destination` can be reached too, without those that are
    `full`; `needed`: how many more addresses would be enough."""
    known = window.netns.source_addresses
    row = known.towards(source, destination, device) if known else None
    if row is None:
        return OtherSources((), "")
    found = tuple(address for address in row.addresses if address not in full)
    if found:
        more = row.total - len(row.addresses)
        others = f" and {more:,} more" if more > 0 else ""
        which = " with a route to it" if destination else " that can be used"
        return OtherSources(found, f"; this namespace has others{which}: {', '.join(found)}{others}")
    if not row.complete or row.addresses:
        return OtherSources((), "")
    lacking = "no other address of this namespace" + (" has a route to it" if destination else " can be used")
    return OtherSources((), f"; {lacking}: add {plural(needed, 'address', 'addresses')}")


def addresses_needed(used: int, each: int) -> int:
    """Return how many more addresses bring the use of each below the warning level, if all share alike."""
    if each <= 0:
        return 1
    enough = -(-used // max(int(COMFORTABLE * each), 1))
    return max(enough - 1, 1)
