"""Samples of the queues of unix stream listeners between two Snapshots.

The kernel counts no overflow of theirs, and one that fills in bursts is empty in most Snapshots. One sample is one
dump of the listeners, without their names.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from sockmon.kernel.netlink import run
from sockmon.kernel.sockets.listeners import unix_queues
from sockmon.kernel.sockets.sock_diag import Diag
from sockmon.model.snapshot import Listener

WINDOW_SECONDS = 10.0
"""Age up to which a sample counts."""
RECENT_SECONDS, RECENT_SAMPLES = 1.0, 10
"""Age of the samples, or their number, that show whether a queue has room now and then."""
FIRST_SAMPLES, FIRST_SAMPLE_SECONDS = 40, 0.01
"""Samples before the first sample of `check`, and the seconds between them."""
SAMPLE_SECONDS = 0.05
"""Seconds between two samples while `check` waits for its next sample."""


class _QueueSample(NamedTuple):
    at: float
    full: dict[int, int]
    """Inode → queue of the listeners that were full."""


class QueueSamples:
    """The samples of one namespace in the last ten seconds."""

    def __init__(self) -> None:
        self._samples: deque[_QueueSample] = deque()
        self._full: Counter[int] = Counter()
        self._half_full_at = float("-inf")

    def sample(self, diag: Diag) -> bool:
        """Read the queues once; return False if there is no unix listener; raise ReadError."""
        queues = run(unix_queues(diag))
        self.add(queues)
        return bool(queues)

    def add(self, queues: Mapping[int, tuple[int, int]]) -> None:
        """Note queue and backlog of all listeners, by inode."""
        now = time.monotonic()
        full = {inode: queue for inode, (queue, backlog) in queues.items() if queue > backlog}
        if any(2 * queue > backlog and queue > 1 for queue, backlog in queues.values()):
            self._half_full_at = now
        self._samples.append(_QueueSample(now, full))
        self._full.update(full.keys())
        while self._samples[0].at < now - WINDOW_SECONDS:
            self._full.subtract(self._samples.popleft().full.keys())

    def filling(self) -> bool:
        """Return whether a queue was half full in a sample that still counts: the next ones are worth more."""
        return self._half_full_at >= time.monotonic() - WINDOW_SECONDS

    @property
    def has_full(self) -> bool:
        """Return whether a queue was full in a sample that still counts."""
        return any(self._full.values())

    def add_to(self, listener: Listener) -> Listener:
        """Return `listener` with how often it was full."""
        inode = listener.inode
        if listener.protocol != "unix" or not self._full[inode]:
            return listener
        full = [inode in sample.full for sample in self._samples]
        since = time.monotonic() - RECENT_SECONDS
        recent = max(sum(sample.at >= since for sample in self._samples), RECENT_SAMPLES)
        return replace(
            listener,
            peak=max(sample.full.get(inode, 0) for sample in self._samples),
            full_samples=sum(full),
            bursts=sum(now and not before for before, now in zip([False, *full], full, strict=False)),
            samples=len(full),
            sampled_seconds=round(self._samples[-1].at - self._samples[0].at, 3),
            has_room=not all(full[-recent:]),
        )


class SamplesQueues(Protocol):
    """A ListenerSampler."""

    def sample_queues(self) -> bool:
        """Read the queues once; return False if there are none."""


def sample_first(samplers: Sequence[SamplesQueues]) -> None:
    """Read the queues FIRST_SAMPLES times; return at once if there are none."""
    for _ in range(FIRST_SAMPLES):
        if not _sample_queues(samplers):
            return
        time.sleep(FIRST_SAMPLE_SECONDS)


def pause_and_sample(samplers: Sequence[SamplesQueues], seconds: float) -> None:
    """Sleep for `seconds`, and read the queues meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SAMPLE_SECONDS) if _sample_queues(samplers) else left)


def _sample_queues(samplers: Sequence[SamplesQueues]) -> bool:
    return sum(each.sample_queues() for each in samplers) > 0
