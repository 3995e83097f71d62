"""One step of a plan, a value from old to new; and the order in which several steps are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sockmon.ceilings.conntrack_buckets import BUCKETS
from sockmon.port_lists import count_in, find_ranges
from sockmon.tunables import Tunable
from sockmon.tunables.value import parse_cgroup_limit, parse_limits, parse_numbers
from sockmon.tuning.planning.context import RESERVED_PORTS, UNPRIVILEGED_START

NR_OPEN = "fs.nr_open"
THRESHOLD = "gc_thresh"

Values = Mapping[str, str]
"""The values of the machine by key, as they are or as they would be after the plan."""


@dataclass(frozen=True)
class Step:
    """A key, its row, and its value before and after."""

    key: str
    row: Tunable
    old: str
    new: str

    @property
    def lowers(self) -> bool:
        """Whether the last number gets smaller; of a limit, the soft one."""
        if self.row.kind == "limit":
            return (parse_limits(self.new) or (0, 0))[0] < (parse_limits(self.old) or (0, 0))[0]
        if self.row.kind == "cgroup limit":
            low, high = parse_cgroup_limit(self.new), parse_cgroup_limit(self.old)
            return low is not None and (high is None or low < high)
        before, after = parse_numbers(self.old), parse_numbers(self.new)
        return bool(before and after) and after[-1] < before[-1]


def write_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return `steps` in an order in which the kernel accepts each write; a rollback goes the other way.

    The kernel refuses with EINVAL a local port range that begins below ip_unprivileged_port_start
    (net/ipv4/sysctl_net_ipv4.c), and with EPERM a hard limit of descriptors above fs.nr_open (kernel/sys.c,
    do_prlimit)."""
    return tuple(sorted(steps, key=order_key))


def order_key(step: Step) -> int:
    """Return a negative number for a step that comes before the others, a positive one for a step after them."""
    if step.key in (UNPRIVILEGED_START, BUCKETS, NR_OPEN):
        first = step.lowers if step.key == UNPRIVILEGED_START else not step.lowers
        return -1 if first else 1
    if step.key == RESERVED_PORTS:
        # Ports must be reserved before the range includes them, and released after it excludes them.
        return -1 if _contains_ports(step.new, step.old) else 1
    if THRESHOLD in step.key:
        number = int(step.key[-1])
        return number if step.lowers else -number
    return 0


def _contains_ports(text: str, other: str) -> bool:
    """Return whether the list of ports has every port of the other list."""
    ranges = find_ranges(text)
    return all(count_in(ranges, low, high) == high - low + 1 for low, high in find_ranges(other))
