"""The line in which the word is typed that confirms something: keys go in, the prompt comes out."""

from __future__ import annotations

from collections.abc import Collection

from rich.text import Text
from textual.events import Key, Paste

from sockmon.tuning.confirmation import WORD, ConfirmationWord, wrong_word

ENTER_HINT = "Enter does nothing here"


class TypedWord:
    """One word, and what was typed of it; a paste, a burst and a held key do not count."""

    def __init__(self, word: str = WORD) -> None:
        self._confirmation = ConfirmationWord(word)

    def drawn(self, at: float) -> None:
        """Note that what the word confirms is on the screen."""
        self._confirmation.preview_drawn(at)

    def take(self, event: Key, can_type: bool, bindings: Collection[str]) -> bool:
        """Take a key before any binding does; return True if it completes the word. `bindings`: keys with a use of
        their own here."""
        word, found = self._confirmation.word, self._confirmation
        char = "\r" if event.key == "enter" else event.character if event.is_printable else None
        if event.key == "backspace":
            found.backspace()
        if char is None or event.key == "backspace" or not can_type:
            return False
        if char in word or char == "\r":
            event.stop()
        if found.press(char, event.time):
            return True
        if char == "\r" and found.rejection == wrong_word(word):
            found.clear(ENTER_HINT)
        elif char not in word and event.key in bindings:
            found.clear()
        return False

    def paste(self, event: Paste) -> None:
        """Reject pasted text."""
        event.stop()
        self._confirmation.paste(event.time)

    def prompt(self) -> Text:
        """Return `Type apply to confirm, Esc to leave: ap___`, and why letters did not count."""
        word, letters, rejection = (
            self._confirmation.word, self._confirmation.letters, self._confirmation.rejection
        )  # fmt: skip
        text = Text.assemble("Type ", (word, "strong"), " to confirm, Esc to leave: ", (letters, "sev-ok"))
        text.append("_" * (len(word) - len(letters)), "muted")
        return text.append(f"  {rejection}" if rejection else "", "sev-warning")
