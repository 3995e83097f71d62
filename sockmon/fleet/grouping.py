"""Hosts by the values of a label, or by their nearest limit: where does a fleet hurt?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.ceilings import TITLES
from sockmon.fleet.hosts import FleetHost, ranked
from sockmon.model.severity import Severity

BY_LIMIT = "nearest limit"
"""Groups by the limit that each host is nearest to: one change may help all hosts of a group."""
NO_VALUE = "(none)"


class HostGroup(NamedTuple):
    """Hosts that have one value of a label."""

    value: str
    hosts: Sequence[FleetHost]
    """The most urgent first; at least one."""
    counts: Counter[Severity]

    @property
    def worst(self) -> FleetHost:
        """Return the most urgent host."""
        return self.hosts[0]


def group_keys(hosts: Sequence[FleetHost]) -> list[str]:
    """Return the labels that divide the hosts, those with few values first, and BY_LIMIT; a label that is the same
    or another one on every host divides nothing."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for host in hosts:
        for name, value in host.labels.items():
            values[name].add(value)
    found = [name for name, each in values.items() if 1 < len(each) < len(hosts)]
    return [*sorted(found, key=lambda name: (len(values[name]), name)), BY_LIMIT]


def group_value(host: FleetHost, key: str) -> str:
    """Return the group that a host belongs to."""
    if key != BY_LIMIT:
        return host.labels.get(key) or NO_VALUE
    if host.state != "live" or host.nearest is None:
        return NO_VALUE
    return TITLES.get(host.nearest.ceiling, host.nearest.ceiling)


def groups(hosts: Sequence[FleetHost], key: str) -> list[HostGroup]:
    """Return the groups, the one with the most urgent host first."""
    found: defaultdict[str, list[FleetHost]] = defaultdict(list)
    # The order of the hosts is that of the groups, and in each group.
    for host in ranked(hosts):
        found[group_value(host, key)].append(host)
    return [HostGroup(value, each, Counter(host.severity for host in each)) for value, each in found.items()]
