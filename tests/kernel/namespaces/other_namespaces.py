"""The network namespaces that are not sampled, read as the agent does."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sockmon.kernel.namespaces.discovery import find_namespaces
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.other_netns import describe_others
from sockmon.kernel.netlink import Incremental
from sockmon.model.snapshot import OtherNetns, Process


def find_other_netns(
    rows: Iterable[Process], sampled: Collection[tuple[int, int]], names: NamespaceNames, proc: int, at: float
) -> Incremental[OtherNetns]:
    """Return the network namespaces of `rows` and of mounts without those `sampled`."""
    every = yield from find_namespaces(rows, proc)
    return (yield from describe_others(every, sampled, (), names, proc, at))
