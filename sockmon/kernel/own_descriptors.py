"""How many files this process may still open, and what that leaves out: a host in trouble may allow few."""

from __future__ import annotations

import os
from typing import NamedTuple

from sockmon.kernel.processes.rlimits import raise_descriptor_limit
from sockmon.model.snapshot import Missing

READER = "descriptors"
ENOUGH = 6
"""Files that a report has open at the same time if it keeps none: /proc, two cgroup mounts, a directory."""
OTHER_NETNS_FILES = 40
"""Files of another network namespace, which stay open."""
_OWN_FILES = 6


class DescriptorBudget(NamedTuple):
    """What may be opened."""

    most: int | None
    """Files of another network namespace that may be kept open; None: all."""
    missing: tuple[Missing, ...]
    """That too few may be opened for a whole report."""


UNLIMITED = DescriptorBudget(None, ())


def budget(other_netns: bool) -> DescriptorBudget:
    """Return what may be opened if descriptors are scarce, of another network namespace too."""
    number, enough = available(), ENOUGH + OTHER_NETNS_FILES * other_netns
    most = max(number - _OWN_FILES, 1)
    if number >= enough:
        return DescriptorBudget(most, ())
    reason = f"this process may open {number} more files, and a report needs {enough}: others were not read"
    return DescriptorBudget(most, (Missing(READER, reason, unjudged="what could not be opened"),))


def available() -> int:
    """Return how many more files this process may open; 0 if that is not known."""
    try:
        # The listing itself opens one.
        return max(raise_descriptor_limit() - len(os.listdir("/proc/self/fd")) + 1, 0)
    except OSError:
        return 0
