"""What sockmon itself costs: its share of a processor."""

from __future__ import annotations

import time
from collections import deque

WINDOW_SECONDS = 60.0


class OwnCost:
    """Measures the processor time of this process, from its making on."""

    def __init__(self) -> None:
        self._started = _times()
        self._samples: deque[tuple[float, float]] = deque()

    def share(self) -> float:
        """Return our share of a processor over the last minute; the first minute includes the start."""
        now = _times()
        first = self._samples[0] if self._samples else self._started
        self._samples.append(now)
        while self._samples[0][0] < now[0] - WINDOW_SECONDS:
            self._samples.popleft()
        return (now[1] - first[1]) / max(now[0] - first[0], 1e-3)


def _times() -> tuple[float, float]:
    """Return the time on CLOCK_BOOTTIME, and the processor time of this process, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME), time.process_time()
