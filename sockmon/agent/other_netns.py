"""The network namespaces that are not sampled: found by budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import CLOCK_BOOTTIME, clock_gettime

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.other_netns import find_other_netns
from sockmon.model.snapshot import OTHER_NETNS, OtherNetns, Process

BUDGET = Budget(0.0005, 5.0)


def other_netns_task(
    rows: Callable[[], Sequence[Process]], handles: Sequence[NetnsHandle], names: NamespaceNames, proc: int
) -> BudgetedTask[OtherNetns]:
    """Return the task that finds the namespaces of `rows()` and of mounts, without those of `handles`."""
    sampled = {(handle.inode, handle.proc_inode) for handle in handles}
    return BudgetedTask(
        OTHER_NETNS, lambda: find_other_netns(rows(), sampled, names, proc, clock_gettime(CLOCK_BOOTTIME)), BUDGET
    )
