"""Sockets of several network namespaces together, and of how many of them they are not known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sockmon.model.snapshot import Netns, Sockstat, StateCount, States

Total = int | None


def sum_of_states(spaces: Sequence[Netns]) -> States | None:
    """Return the TCP sockets by state of all namespaces whose states are known; None if they are known of none.

    `at` is that of the oldest."""
    known = [netns.states for netns in spaces if netns.states]
    if len(known) <= 1:
        return known[0] if known else None
    names = dict.fromkeys(name for states in known for name in states.tcp)
    nothing = StateCount(0, 0, 0)
    counts = {name: _sum([states.tcp.get(name, nothing) for states in known]) for name in names}
    return States(min(states.at for states in known), counts)


def _sum(counts: Iterable[StateCount]) -> StateCount:
    # The families of none are none, also where they were not counted.
    counts = [count for count in counts if count.total]
    return StateCount(
        sum(count.total for count in counts),
        _total(count.v4 for count in counts),
        _total(count.v6 for count in counts),
    )


def _total(numbers: Iterable[Total]) -> Total:
    """Return the sum; None if one is not known."""
    found = list(numbers)
    known = [number for number in found if number is not None]
    return sum(known) if len(known) == len(found) else None


def sum_of_sockstat(spaces: Sequence[Netns]) -> Sockstat | None:
    """Return the sockets by protocol of all namespaces that have been read; None if none has."""
    known = [netns.sockstat for netns in spaces if netns.sockstat]
    if len(known) <= 1:
        return known[0] if known else None

    def total(get: Callable[[Sockstat], Total]) -> Total:
        return _total(get(stat) for stat in known)

    return Sockstat(
        used=sum(stat.used for stat in known),
        tcp_inuse=sum(stat.tcp_inuse for stat in known),
        tcp6_inuse=total(lambda stat: stat.tcp6_inuse),
        time_wait=sum(stat.time_wait for stat in known),
        udp_inuse=sum(stat.udp_inuse for stat in known),
        udp6_inuse=total(lambda stat: stat.udp6_inuse),
        raw_inuse=sum(stat.raw_inuse for stat in known),
        raw6_inuse=total(lambda stat: stat.raw6_inuse),
        unix=total(lambda stat: stat.unix),
    )


def uncounted(spaces: Sequence[Netns]) -> int:
    """Return in how many namespaces the states were not counted."""
    return sum(netns.states is None for netns in spaces)
