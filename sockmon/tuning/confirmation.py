"""The word that confirms a change, accepted only if a person types it: not from a paste, a held key or a click.

A terminal without bracketed paste sends pasted text as keys, which arrive faster than anybody types. Times are in
seconds of the monotonic clock, taken when a key was read.
"""

from __future__ import annotations

WORD = "apply"
READING_SECONDS = 0.3
"""Keys do not count before the preview has been on the screen for this long."""
BURST_SECONDS = 0.005
"""Two keys closer together than this were not typed."""
MIN_TYPING_SECONDS = 0.12
"""No person types the word in less time."""
KEY_REPEAT_SECONDS = 0.05
"""The same key again within this time is held down: the fastest finger taps 14 times a second."""

TOO_EARLY = "ignored: too early"
PASTED = "ignored: pasted text"
KEY_HELD_DOWN = "ignored: the key is held down"


def wrong_word(word: str) -> str:
    """Return why another word does not count."""
    return f'type the word "{word}"'


WRONG_WORD = wrong_word(WORD)


class ConfirmationWord:
    """The letters that count so far, and why the last key removed them."""

    def __init__(self, word: str = WORD) -> None:
        self.word = word
        self.letters = ""
        self.rejection = ""
        self._drawn_at: float | None = None
        self._first_at = 0.0
        self._last: tuple[str, float] = ("", float("-inf"))
        self._burst_at = float("-inf")

    def preview_drawn(self, at: float) -> None:
        """Note when the preview was first on the screen."""
        if self._drawn_at is None:
            self._drawn_at = at

    def press(self, char: str, at: float) -> bool:
        """Take a key; return True if it completes the word."""
        (before, when), self._last = self._last, (char, at)
        if at - when < BURST_SECONDS:
            self._burst_at = at
        if why := self._why_not_typed(char, at, before, when):
            self.clear(why)
            return False
        if not self._accept(char, at) or self.letters != self.word:
            return False
        if at - self._first_at < MIN_TYPING_SECONDS:
            self.clear(PASTED)
            return False
        return True

    def paste(self, at: float) -> None:
        """Reject a paste, and the keys that follow it at once."""
        self._burst_at = at
        self.clear(PASTED)

    def clear(self, rejection: str = "") -> None:
        """Remove all letters."""
        self.letters, self.rejection = "", rejection

    def backspace(self) -> None:
        """Remove the last letter."""
        self.letters, self.rejection = self.letters[:-1], ""

    def _why_not_typed(self, char: str, at: float, before: str, when: float) -> str:
        if at - self._burst_at < READING_SECONDS:
            # The last letter of a paste can arrive alone, and be the first letter of the word.
            return PASTED
        if self._drawn_at is None or at - self._drawn_at < READING_SECONDS:
            return TOO_EARLY
        return KEY_HELD_DOWN if char == before and at - when < KEY_REPEAT_SECONDS else ""

    def _accept(self, char: str, at: float) -> bool:
        if char == self.word[len(self.letters)]:
            self.letters, self.rejection = self.letters + char, ""
        elif char == self.word[0]:
            self.letters, self.rejection = char, ""
        else:
            self.clear(wrong_word(self.word))
        if len(self.letters) == 1:
            self._first_at = at
        return bool(self.letters)
