"""Whether a key was pressed on purpose: a person, once; no paste, no key that repeats because it is held down."""

from __future__ import annotations

BURST = 0.08
"""Seconds between two keys below which no person pressed them: a terminal without bracketed paste sends such."""
REPEAT = 1.0
"""Seconds without a key after which it does not repeat any more; terminals begin to repeat after up to 0.66."""


class Presses:
    """The keys as they come, by the clock of their events."""

    def __init__(self) -> None:
        self._key = ""
        self._at = float("-inf")
        self._last: dict[str, float] = {}
        self._alone = False
        self.count = 0
        """How many keys came so far."""

    def add(self, key: str, at: float) -> None:
        """One more key, at `at` seconds."""
        same = at - self._last.get(key, float("-inf"))
        self._alone = at - self._at >= BURST and same >= REPEAT
        self._key, self._at = key, at
        self._last[key] = at
        self.count += 1

    @property
    def alone(self) -> bool:
        """Whether the newest key neither followed another at once nor repeats itself."""
        return self._alone
