"""The ports that NAT rules give to translated connections; the rules are read only if many ports are in use."""

from __future__ import annotations

import time
from collections.abc import Set

from msgspec.structs import replace

from sockmon.agent.part import to_missing
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.nat_rules.of_handle import read_local, read_rules_of
from sockmon.kernel.nat_rules.ranges import Local, range_of
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.snat import SnatGroups
from sockmon.model.nat_rules import NatRules
from sockmon.model.snapshot import SnatGroup

MIN_PORTS = 32
"""Ports in use from which on the limit matters: a range of 50 is then two thirds in use."""
MIN_DENSE_PORTS = 8
"""The same for ports that are close to each other, as those of a narrower range are."""
KEEP_SECONDS = 20.0
"""Seconds until the rules are read again."""


def is_notable(group: SnatGroup) -> bool:
    """Return whether the group has so many ports in use that a rule may have no more."""
    dense = 2 * group.used >= group.high - group.low + 1
    return group.used >= MIN_PORTS or (group.used >= MIN_DENSE_PORTS and dense)


class SnatRanges:
    """Keeps the rules of one namespace for some seconds."""

    def __init__(self, handle: NetnsHandle) -> None:
        self._handle = handle
        self._known: tuple[NatRules, Local] | None = None
        self._reason = ""
        self._until = 0.0

    def add_to(self, found: SnatGroups) -> Incremental[tuple[SnatGroup, ...]]:
        """Return the groups, those that matter with their range or the reason why it is not known."""
        if not any(map(is_notable, found.groups)):
            self._known, self._until = None, 0.0
            return found.groups
        if time.monotonic() >= self._until:
            yield from self._read()
        return tuple(
            self._with_range(group, ports) if is_notable(group) else group
            for group, ports in zip(found.groups, found.ports, strict=True)
        )

    def _read(self) -> Incremental[None]:
        self._until = time.monotonic() + KEEP_SECONDS
        try:
            rules = yield from read_rules_of(self._handle)
            self._known = rules, (yield from read_local(self._handle))
        except Exception as error:
            self._known, self._reason = None, to_missing("nat rules", error).reason

    def _with_range(self, group: SnatGroup, ports: Set[int]) -> SnatGroup:
        if self._known is None:
            return replace(group, range_reason=f"the NAT rules could not be read: {self._reason}")
        found, reason = range_of(group, *self._known)
        if found is None:
            return replace(group, range_reason=reason)
        used = sum(found.low <= port <= found.high for port in ports)
        return replace(group, range=found, in_range=used)
