"""Which processes hold some sockets: a walk over /proc/PID/fd that stops when all are found, or in time."""

from __future__ import annotations

import os
import time
from array import array
from collections import Counter
from collections.abc import Collection
from contextlib import suppress

from sockmon.kernel.netlink import run
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.descriptors import open_fd_dir, read_socket_links

MAX_SECONDS = 1.0
"""The screen waits for it."""


def holders(inodes: Collection[int], proc: int) -> tuple[Counter[str], int]:
    """Return `nginx[1044]` → how many of these sockets it holds, and of how many the holder is not known: it was
    not found in time, or may not be read. A socket that several hold counts for the first."""
    wanted = {inode for inode in inodes if inode}
    found: Counter[str] = Counter()
    end = time.monotonic() + MAX_SECONDS
    pids = sorted(int(name) for name in os.listdir(f"/proc/self/fd/{proc}") if name.isdecimal())
    # An init may pass sockets on to the service that uses them.
    for pid in (*(pid for pid in pids if pid > 1), *pids[:1]):
        if not wanted or time.monotonic() > end:
            break
        held = array("Q")
        with suppress(OSError, ValueError):
            with open_fd_dir(pid, proc) as folder:
                run(read_socket_links(folder, os.listdir(folder), held))
            if ours := wanted.intersection(held):
                name = proc_files.parse_stat(proc_files.read(f"{pid}/stat", proc)).name
                found[f"{name}[{pid}]"] += len(ours)
                wanted -= ours
    return found, len(wanted)
