"""The ports that NAT rules give to translated connections; the rules are read only if many ports are in use."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
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
BUDGET = Budget(0.001, 2.0)
"""20,000 rules cost 0.25 s."""
KEEP_SECONDS = 20.0
"""Seconds until the rules are read again, however little that costs."""


class _Known(NamedTuple):
    """The rules and addresses as of `at`, seconds of time.monotonic(); or why they could not be read."""

    at: float
    rules: NatRules | None
    local: Local
    reason: str


def is_notable(group: SnatGroup) -> bool:
    """Return whether the group has so many ports in use that a rule may have no more."""
    dense = 2 * group.used >= group.high - group.low + 1
    return group.used >= MIN_PORTS or (group.used >= MIN_DENSE_PORTS and dense)


class SnatRanges:
    """Reads the rules of one namespace, while `groups` returns some that matter."""

    def __init__(self, handle: NetnsHandle, groups: Callable[[], SnatGroups | None]) -> None:
        self._handle = handle
        self._groups = groups
        self.task = BudgetedTask("nat rules", self._read, BUDGET)
        self._made: tuple[object, object, tuple[SnatGroup, ...]] | None = None
        """The groups and the rules of the last answer, and the answer."""

    def with_ranges(self) -> tuple[SnatGroup, ...]:
        """Return the groups, those that matter with their range or the reason why it is not known."""
        found, known = self._groups(), self.task.value
        if found is None or known is None:
            return found.groups if found else ()
        if self._made is None or self._made[0] is not found or self._made[1] is not known:
            groups = tuple(
                _with_range(group, ports, known) if is_notable(group) else group
                for group, ports in zip(found.groups, found.ports, strict=True)
            )
            self._made = found, known, groups
        return self._made[2]

    def _read(self) -> Incremental[_Known | None]:
        """Read the rules, unless no group matters, or they are new enough."""
        found, now = self._groups(), time.monotonic()
        if found is None or not any(map(is_notable, found.groups)):
            return None
        known = self.task.value
        if known is not None and now - known.at < KEEP_SECONDS:
            return known
        try:
            rules = yield from read_rules_of(self._handle)
            return _Known(now, rules, (yield from read_local(self._handle)), "")
        except Exception as error:
            return _Known(now, None, Local((), {}), to_missing(self.task.reader, error).reason)


def _with_range(group: SnatGroup, ports: Set[int], known: _Known) -> SnatGroup:
    if known.rules is None:
        return replace(group, range_reason=f"the NAT rules could not be read: {known.reason}")
    found, reason = range_of(group, known.rules, known.local)
    if found is None:
        return replace(group, range_reason=reason)
    used = sum(found.low <= port <= found.high for port in ports)
    return replace(group, range=found, in_range=used)
