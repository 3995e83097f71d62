"""Whether a key was pressed deliberately, once: not by a paste, and not by a key that is held down."""

from __future__ import annotations

MIN_KEY_GAP = 0.08
"""Seconds between two keys below which they are a paste, from a terminal without bracketed paste."""
MIN_REPEAT_GAP = 1.0
"""Seconds between two presses of one key below which it is held down; terminals repeat it after up to 0.66."""


class KeyPressFilter:
    """Takes every key with the time of its event."""

    def __init__(self) -> None:
        self._key = ""
        self._at = float("-inf")
        self._last: dict[str, float] = {}
        self._deliberate = False
        self.count = 0
        """How many keys were pressed so far."""

    def add(self, key: str, at: float) -> None:
        """Take a key that was pressed at `at` seconds."""
        same = at - self._last.get(key, float("-inf"))
        self._deliberate = at - self._at >= MIN_KEY_GAP and same >= MIN_REPEAT_GAP
        self._key, self._at = key, at
        self._last[key] = at
        self.count += 1

    @property
    def is_deliberate(self) -> bool:
        """Whether the newest key neither followed another at once nor is a repeat."""
        return self._deliberate
