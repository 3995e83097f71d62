"""The network namespaces that are not sampled: which ones there are, and the busiest of them.

Sockets are counted in /proc/PID/net/sockstat of one process each, which everyone may read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sockmon.errors import ReadError
from sockmon.kernel import sockstat
from sockmon.kernel.namespaces.discovery import PROCESSES_PER_STEP, FoundNetns
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.model.snapshot import OTHER_NETNS, NetnsMember, OtherNetns, Process

MAX_COUNTED = 300
"""Namespaces whose sockets are counted."""
MAX_BUSIEST = 3
_SOCKSTAT_BYTES = 4096
_OURS = "sockmon"
"""How the names of all our processes begin."""


def describe_others(
    every: Sequence[FoundNetns[Process]],
    sampled: Collection[tuple[int, int]],
    watched: Collection[tuple[int, int]],
    names: NamespaceNames,
    proc: int,
    at: float,
) -> Incremental[OtherNetns]:
    """Return those of `every` network namespace that are neither `sampled` nor `watched`: pairs of `netns_inode`
    and `proc_net_inode`, 0 if unknown. The busiest have the names that `names` finds."""
    if any(proc_inode == 0 for _, proc_inode in sampled):
        raise ReadError(OTHER_NETNS, "our own network namespace is not known: /proc/net/sockstat is hidden")
    known = (*sampled, *watched)
    inodes, proc_inodes = {inode for inode, _ in known} - {0}, {inode for _, inode in known} - {0}
    others = [found for found in every if found.inode not in inodes and found.proc_inode not in proc_inodes]
    unreadable = sum(not found.inode for found in others)
    without = [found for found in others if not found.processes]
    others = [found for found in others if found.processes]
    # A user cannot tell which of the mounted ones are those of the processes that it may not read.
    unmatched = len(without) if unreadable else 0
    others += without if not unreadable else []
    counted = []
    for number, found in enumerate(others[:MAX_COUNTED], 1):
        if number % PROCESSES_PER_STEP == 0:
            yield
        counted.append((_count_sockets(busiest_process(found), proc), found))
    counted.sort(key=lambda pair: -1 if pair[0] is None else pair[0], reverse=True)
    busiest = []
    for sockets, found in counted[:MAX_BUSIEST]:
        yield
        busiest.append(_member(found, sockets, names))
    total = sum(len(found.processes) for found in others)
    return OtherNetns(at, len(others), total, tuple(busiest), len(counted), unreadable, unmatched)


def busiest_process(found: FoundNetns[Process]) -> Process | None:
    """Return the process that holds the most files: the first one of a container often only waits. One of sockmon
    itself, which holds many, is taken only if there is no other one."""
    return max(
        found.processes,
        key=lambda row: (not row.name.startswith(_OURS), row.fds or 0, row.rss, -row.pid),
        default=None,
    )


def _member(found: FoundNetns[Process], sockets: int | None, names: NamespaceNames) -> NetnsMember:
    busy = busiest_process(found)
    called, argument = names.name(found)
    pid, name = (busy.pid, busy.name) if busy else (0, "")
    return NetnsMember(pid, name, len(found.processes), sockets, found.inode, called, argument)


def _count_sockets(busy: Process | None, proc: int) -> int | None:
    if busy is None:
        return None
    try:
        text = proc_files.read(f"{busy.pid}/net/sockstat", proc, _SOCKSTAT_BYTES)
        found = sockstat.parse(text, None, None)[0]
    except (OSError, ReadError):
        return None
    return found.used + found.time_wait
