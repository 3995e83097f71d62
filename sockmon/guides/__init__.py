"""Guided walkthroughs: from a symptom on live data to a verified change, or to the reason not to tune.

A guide is one file and its line in GUIDES. Pure: no clock, no files, no kernel, no drawing. May import `assess`,
`explain`, `ceilings` and `tuning.planning`. Tests are in `tests/guides`: each guide is walked on its lab."""

from difflib import get_close_matches

from sockmon.errors import NoSuchGuide
from sockmon.guides import (
    before_a_launch,
    cannot_assign_address,
    cannot_fork,
    close_wait,
    connections_time_out,
    conntrack_full,
    lost_packets,
    neighbour_table_full,
    slow_connects,
    stuck_at_n,
    time_wait,
    too_many_files,
    unix_socket_eagain,
)
from sockmon.guides.guide import Guide

GUIDES: tuple[Guide, ...] = (
    stuck_at_n.GUIDE,
    cannot_assign_address.GUIDE,
    connections_time_out.GUIDE,
    close_wait.GUIDE,
    too_many_files.GUIDE,
    cannot_fork.GUIDE,
    unix_socket_eagain.GUIDE,
    neighbour_table_full.GUIDE,
    time_wait.GUIDE,
    conntrack_full.GUIDE,
    lost_packets.GUIDE,
    slow_connects.GUIDE,
    before_a_launch.GUIDE,
)

BY_NAME = {guide.name: guide for guide in GUIDES}


def find_guide(name: str) -> Guide:
    """Return the guide called `name`; raise NoSuchGuide with similar names in its hint."""
    if name in BY_NAME:
        return BY_NAME[name]
    similar = get_close_matches(name, BY_NAME, cutoff=0.4)
    raise NoSuchGuide(
        f"there is no guide called {name!r}",
        f"did you mean {' or '.join(similar)}?" if similar else "list the guides with: sockmon guide",
    )


def guides_to(ceiling: str) -> list[Guide]:
    """Return the guides that lead to a ceiling, the most specific first."""
    found = [guide for guide in GUIDES if ceiling in guide.ceilings]
    return sorted(found, key=lambda guide: (len(guide.ceilings), guide.ceilings.index(ceiling)))


__all__ = ["BY_NAME", "GUIDES", "Guide", "find_guide", "guides_to"]
