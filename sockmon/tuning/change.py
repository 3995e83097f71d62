"""One value on its way from old to new, and the order in which several are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sockmon.tunables import Tunable
from sockmon.tunables.value import limits, numbers, ranges, within
from sockmon.tuning.here import RESERVED, UNPRIVILEGED

NR_OPEN = "fs.nr_open"
BUCKETS = "net.netfilter.nf_conntrack_buckets"
THRESHOLD = "gc_thresh"


@dataclass(frozen=True)
class Change:
    """A key, its row and both values."""

    key: str
    row: Tunable
    old: str
    new: str

    @property
    def less(self) -> bool:
        """True where the last number becomes smaller, of a limit the soft one."""
        if self.row.kind == "limit":
            return (limits(self.new) or (0, 0))[0] < (limits(self.old) or (0, 0))[0]
        before, after = numbers(self.old), numbers(self.new)
        return bool(before and after) and after[-1] < before[-1]


def ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    """So that the kernel takes each write, and nothing is worse in between; the reverse order leads back.

    The range of local ports may never begin below ip_unprivileged_port_start: either write is refused with EINVAL
    otherwise (net/ipv4/sysctl_net_ipv4.c). No hard limit of descriptors may be set above fs.nr_open: EPERM
    (kernel/sys.c, do_prlimit)."""
    return tuple(sorted(changes, key=_rank))


def _rank(change: Change) -> int:
    """Below 0: before the others, above 0: after them."""
    if change.key in (UNPRIVILEGED, BUCKETS, NR_OPEN):
        first = change.less if change.key == UNPRIVILEGED else not change.less
        return -1 if first else 1
    if change.key == RESERVED:
        # Ports are kept back before the range reaches them, and let go after it has left them.
        return -1 if _holds(change.new, change.old) else 1
    if THRESHOLD in change.key:
        step = int(change.key[-1])
        return step if change.less else -step
    return 0


def _holds(text: str, other: str) -> bool:
    """True where the list of ports has all of the other one's."""
    spans = ranges(text)
    return all(within(spans, low, high) == high - low + 1 for low, high in ranges(other))
