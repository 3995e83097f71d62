"""How many ephemeral ports a network namespace uses towards one destination: counted, or at most."""

from __future__ import annotations

from typing import NamedTuple

from sockmon.model.snapshot import Netns

RANGE = "net.ipv4.ip_local_port_range"


class PortUse(NamedTuple):
    """Ports of the fullest group."""

    used: int | None
    """None if not even the number of sockets is known."""
    limit: int | None
    exact: bool
    """False: the groups were not read; no more can be used than there are TCP sockets."""

    @property
    def ratio(self) -> float | None:
        """The share of the range."""
        return None if self.used is None or not self.limit else self.used / self.limit


def port_use(netns: Netns) -> PortUse:
    """Return the ports of the fullest group, or the upper bound that the sockets of the namespace give."""
    if netns.ports is not None:
        groups = netns.ports.groups
        return PortUse(max((group.used for group in groups), default=0), netns.ports.usable, True)
    stat = netns.sockstat
    if stat is None:
        return PortUse(None, None, False)
    return PortUse(stat.tcp_inuse + (stat.tcp6_inuse or 0) + stat.time_wait, _range_size(netns), False)


def _range_size(netns: Netns) -> int | None:
    words = netns.sysctls.get(RANGE, "").split()
    if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
        return None
    low, high = map(int, words)
    return max(high - low + 1, 0)
