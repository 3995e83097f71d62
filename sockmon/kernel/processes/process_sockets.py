"""The sockets, epoll sets and inotify instances of one process: from all its descriptors, or a sample of them."""

from __future__ import annotations

import errno
import os
import random
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import descriptors as fds
from sockmon.kernel.processes import proc_files
from sockmon.model.snapshot import Owner

SAMPLE_SIZE = 16_384
"""Descriptors of one process that are read at most; with more of them its numbers are estimates (±3 %)."""
MIN_SAMPLE = 1_024
"""The least that is read of a process with more of them, however many such processes there are (±10 %)."""
MAX_LINKS = 65_536
"""Descriptors of all processes from which on the large ones are sampled. A link costs 4 µs, so this is a quarter
of a second of a processor."""
LOW_DESCRIPTORS = 256
"""The lowest descriptors of a sampled process, which are read in addition for listeners, epoll sets and inotify
instances: a server opens them before its first connection."""
_SPARSE = 2  # slots for each descriptor; with more of them most numbers that are tried would not be open


@dataclass(slots=True)
class ProcessSockets:
    """The sockets of a process when it was read; each descriptor that was read stands for `scale` of them."""

    pid: int
    start: int
    name: str
    fds: int | None
    read_at: float
    inodes: array[int] = field(default_factory=lambda: array("Q"))
    lowest: array[int] = field(default_factory=lambda: array("Q"))
    """Sockets among the lowest descriptors, if `inodes` is a sample."""
    scale: float = 1.0
    complete: bool = False
    """False until all descriptors, or the sample, have been read."""
    readable: bool = True
    fault: str = ""
    """Why it could not be read, unless permission was refused."""
    ended: bool = False
    """True if it has ended, or its pid is that of another process."""
    watching: list[tuple[int, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    """Descriptors that are no sockets, by kind."""

    def mark_unreadable(self, fault: str) -> None:
        """Note that it cannot be read, and why; forget what was read."""
        self.readable, self.complete, self.fault = False, False, fault
        self.inodes, self.lowest, self.watching = array("Q"), array("Q"), []

    def owner(self, sockets: int) -> Owner:
        """Return this process as the owner of so many of the sockets that were read."""
        return Owner(self.pid, self.start, self.name, round(sockets * self.scale), self.scale != 1.0)


class WatchingProcess(NamedTuple):
    """A process with epoll sets or inotify instances: number and kind of each of these descriptors."""

    pid: int
    start: int
    name: str
    fds: int | None
    files: tuple[tuple[int, str], ...]


def sample_size(counts: Iterable[int], most: int = SAMPLE_SIZE) -> int:
    """Return how many descriptors to read of one process at most, so that all processes, whose numbers of
    descriptors are `counts`, have MAX_LINKS: from `most` down to MIN_SAMPLE."""
    left, large = MAX_LINKS, sorted(min(count, most) for count in counts)
    while large and left >= large[0] * len(large):
        left -= large[0]
        del large[0]
    return max(min(left // len(large), most), min(MIN_SAMPLE, most)) if large else most


def is_same_process(pid: int, start: int, proc: int) -> bool:
    """Return whether the process of this pid is the one that began at `start`; raise OSError."""
    return proc_files.parse_stat(proc_files.read(f"{pid}/stat", proc)).start == start


def read_first(held: ProcessSockets, proc: int, sample: int) -> Incremental[None]:
    """Read all links of a process into `held`, or if it has more than `sample` of them the lowest; raise OSError,
    ProcessLookupError if it is another process now."""
    with _open_same(held, proc) as folder:
        if held.fds is None or held.fds <= sample:
            yield from fds.read_socket_links(folder, os.listdir(folder), held.inodes, held.watching, held.kinds)
            held.complete = True
        else:
            yield from fds.read_socket_links(folder, range(LOW_DESCRIPTORS), held.lowest, held.watching)


def read_sample(held: ProcessSockets, proc: int, sample: int) -> Incremental[None]:
    """Read a sample of the links of a process whose lowest ones are in `held`; raise as above."""
    with _open_same(held, proc) as folder:
        numbers = _numbers_to_read(held, folder, proc, sample)
        open_count = yield from fds.read_socket_links(folder, numbers, held.inodes, held.watching, held.kinds)
    held.watching = list(dict.fromkeys(held.watching))
    if open_count:
        held.scale = max((held.fds or 0) / open_count, 1.0)
    held.complete = True


@contextmanager
def _open_same(held: ProcessSockets, proc: int) -> Iterator[int]:
    with fds.open_fd_dir(held.pid, proc) as folder:
        if not is_same_process(held.pid, held.start, proc):
            raise ProcessLookupError(errno.ESRCH, "the pid is used again")
        yield folder


def _numbers_to_read(held: ProcessSockets, folder: int, proc: int, sample: int) -> Sequence[str | int]:
    """Return which descriptors to read: a sample that is drawn from slots of the table.

    Listing a million descriptors takes a second, trying 16,384 numbers a tenth. One at random of each stretch,
    because a proxy opens in turns (client, server, client, ...) and a fixed stride would meet one kind only.
    The same table gives the same numbers, so that processes that share it share the sample."""
    status = proc_files.read(f"{held.pid}/status", proc)
    slots = proc_files.parse_status(status).fd_size
    count = held.fds or 0
    draw = random.Random(count)
    if slots == 0:
        # An ending process releases its table first: FDSize is 0 (fs/proc/array.c, task_state()).
        raise ProcessLookupError(errno.ESRCH, "the process is ending")
    if slots is None or slots > count * _SPARSE:
        return _sample_stretches(os.listdir(folder), sample, draw)
    return _sample_stretches(range(slots), sample * slots // max(count, 1), draw)


def _sample_stretches(numbers: Sequence[str | int], sample: int, draw: random.Random) -> list[str | int]:
    """Return one at random from each of `sample` stretches of equal length."""
    length = len(numbers) / max(sample, 1)
    if length <= 1:
        return list(numbers)
    drawn = (numbers[int((index + draw.random()) * length)] for index in range(sample))
    # Neighbouring short stretches can give the same number, which would count twice.
    return list(dict.fromkeys(drawn))
