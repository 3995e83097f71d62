"""Who holds contexts of asynchronous I/O: the maps `/[aio]` of /proc/PID/maps (fs/aio.c, aio_setup_ring()).

The kernel counts the number that io_setup(2) was called with, and shows it nowhere. The ring that it maps has at
least twice as many entries of 32 bytes, so its size is an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sockmon.model.snapshot import ProcessAio

MARK = b"/[aio]"
MAX_HOLDERS = 5
_ENTRY_BYTES = 32
"""sizeof(struct io_event), and of the header (struct aio_ring)."""
_SPARE_ENTRIES = 2


class Ring(NamedTuple):
    """One context; a process that forks has a copy of the map, with the same inode, that counts for nothing."""

    inode: int
    size: int


def parse_rings(maps: bytes) -> tuple[Ring, ...]:
    """Return the rings among whole lines of /proc/PID/maps; leave out what merely has that name."""
    return tuple(ring for line in maps.splitlines() if MARK in line and (ring := _parse_line(line)))


def _parse_line(line: bytes) -> Ring | None:
    fields = line.split(None, 5)
    if len(fields) != 6 or not fields[5].startswith(MARK):
        return None
    begin, _, end = fields[0].partition(b"-")
    return Ring(int(fields[4]), int(end, 16) - int(begin, 16))


def most_requests(size: int) -> int:
    """Return the highest number that io_setup() can have been called with for a ring of `size` bytes."""
    return (size // _ENTRY_BYTES - 1 - _SPARE_ENTRIES) // 2


def holders(found: Iterable[tuple[int, int, str, tuple[Ring, ...]]]) -> tuple[ProcessAio, ...]:
    """Return the processes with the most requests, of (pid, start time, name, rings); a ring that several have
    counts for the lowest pid."""
    seen: set[int] = set()
    rows = []
    for pid, start, name, rings in sorted(found, key=lambda process: process[0]):
        own = [ring for ring in rings if ring.inode not in seen]
        seen.update(ring.inode for ring in own)
        if own:
            rows.append(ProcessAio(pid, start, name, len(own), sum(most_requests(ring.size) for ring in own)))
    return tuple(sorted(rows, key=lambda row: (-row.most_requests, row.pid))[:MAX_HOLDERS])
