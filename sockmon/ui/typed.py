"""The word that lets a change go ahead, told apart from what no finger typed: a paste, a held key, a click.

A terminal without bracketed paste hands pasted text on as keys; they come faster than anybody types. Times are
those at which the keys were read, in seconds of the monotonic clock.
"""

from __future__ import annotations

WORD = "apply"
READ = 0.3
"""Seconds that the preview has to be on the screen before a letter counts."""
BURST = 0.005
"""Two keys closer together than this were not typed."""
WHOLE = 0.12
"""Nobody types the word in less."""
REPEAT = 0.05
"""The same key again in less is one that is held down: the fastest finger taps 14 times a second."""

EARLY = "that came before this could be read"
PASTED = "pasted text does nothing here"
HELD = "a key that is held down does nothing here"
WRONG = "that is another word"


class Typed:
    """The letters so far, and why the last key took them away."""

    def __init__(self) -> None:
        self.letters = ""
        self.why = ""
        self._drawn: float | None = None
        self._first = 0.0
        self._last: tuple[str, float] = ("", float("-inf"))
        self._burst = float("-inf")

    def drawn(self, at: float) -> None:
        """The preview is on the screen since `at`."""
        if self._drawn is None:
            self._drawn = at

    def press(self, char: str, at: float) -> bool:
        """Take a key; True where it completes the word."""
        (before, when), self._last = self._last, (char, at)
        if at - when < BURST:
            self._burst = at
        if why := self._not_typed(char, at, before, when):
            self.clear(why)
            return False
        if not self._takes(char, at):
            return False
        if self.letters != WORD:
            return False
        if at - self._first < WHOLE:
            self.clear(PASTED)
            return False
        return True

    def paste(self, at: float) -> None:
        """Something was pasted."""
        self._burst = at
        self.clear(PASTED)

    def clear(self, why: str = "") -> None:
        """Begin again."""
        self.letters, self.why = "", why

    def back(self) -> None:
        """Take the last letter away."""
        self.letters, self.why = self.letters[:-1], ""

    def _not_typed(self, char: str, at: float, before: str, when: float) -> str:
        if at - self._burst < READ:
            # What ends a paste may stand alone, and be the first letter.
            return PASTED
        if self._drawn is None or at - self._drawn < READ:
            return EARLY
        return HELD if char == before and at - when < REPEAT else ""

    def _takes(self, char: str, at: float) -> bool:
        if char == WORD[len(self.letters)]:
            self.letters, self.why = self.letters + char, ""
        elif char == WORD[0]:
            self.letters, self.why = char, ""
        else:
            self.clear(WRONG)
        if len(self.letters) == 1:
            self._first = at
        return bool(self.letters)
