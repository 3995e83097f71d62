"""The network namespaces of other processes, from /proc/PID/net/sockstat of one process each, which everyone may
read.

A namespace without a process, which a mount or an open file keeps alive, is not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress

from sockmon.errors import ReadError
from sockmon.kernel import sockstat
from sockmon.kernel.identity import proc_net_inode
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.model.snapshot import OTHER_NETNS, NetnsMember, OtherNetns, Process

MAX_COUNTED = 300
"""Namespaces whose sockets are counted."""
MAX_BUSIEST = 3
_PROCESSES_PER_STEP = 128
_SOCKSTAT_BYTES = 4096


def find_other_netns(
    rows: Iterable[Process], sampled: Collection[int], proc: int, at: float
) -> Incremental[OtherNetns]:
    """Return the network namespaces of `rows` without those `sampled`, which are inodes of `proc_net_inode`."""
    if 0 in sampled:
        raise ReadError(OTHER_NETNS, "our own network namespace is not known: /proc/net/sockstat is hidden")
    members: defaultdict[int, list[Process]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        if number % _PROCESSES_PER_STEP == 0:
            yield
        with suppress(OSError):
            members[proc_net_inode(str(row.pid), proc)].append(row)
    others = [processes for inode, processes in members.items() if inode not in sampled]
    found = []
    for number, processes in enumerate(others[:MAX_COUNTED], 1):
        if number % _PROCESSES_PER_STEP == 0:
            yield
        # The first process of a container often only waits: name the one that holds the most files.
        busy = max(processes, key=lambda row: (row.fds or 0, row.rss, -row.pid))
        found.append(NetnsMember(busy.pid, busy.name, len(processes), _count_sockets(busy.pid, proc)))
    found.sort(key=lambda member: (-(member.sockets or 0), member.pid))
    total = sum(map(len, others))
    return OtherNetns(at, len(others), total, tuple(found[:MAX_BUSIEST]), min(len(others), MAX_COUNTED))


def _count_sockets(pid: int, proc: int) -> int | None:
    try:
        text = proc_files.read(f"{pid}/net/sockstat", proc, _SOCKSTAT_BYTES)
        found = sockstat.parse(text, None, None)[0]
    except (OSError, ReadError):
        return None
    return found.used + found.time_wait
