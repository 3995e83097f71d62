"""How many different names become labels within an hour: each makes series that Prometheus keeps for hours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MAX_NAMES = 1000
"""An hour in which 23,000 processes and namespaces came and went needed 971."""
KEPT_SECONDS = 3600.0

Name = tuple[str, ...]


class LabelBudget:
    """Admits names, the first MAX_NAMES of an hour. It may be asked from any thread.

    Anyone on the host may start processes with a new name each second, and would fill the Prometheus otherwise."""

    def __init__(self, most: int = MAX_NAMES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._seen: dict[Name, float] = {}
        """When each name was asked for last."""
        self._lock = threading.Lock()

    def admits(self, name: Name) -> bool:
        """Return whether a name may be a label; one that is asked for within each hour stays one."""
        with self._lock:
            now = self._clock()
            if name not in self._seen and len(self._seen) >= self._most:
                self._seen = {each: at for each, at in self._seen.items() if at > now - KEPT_SECONDS}
            if name not in self._seen and len(self._seen) >= self._most:
                return False
            self._seen[name] = now
            return True
