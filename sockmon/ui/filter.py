"""`/`: words that narrow every pane, as `port:443 state:TIME_WAIT proc:nginx user:www cache`.

All words must hold. A pane skips the words that say nothing about its rows: `state:` does not empty the
table of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

FIELDS = ("port", "state", "proc", "user")


class Filter(NamedTuple):
    """A parsed filter; words are case-folded."""

    fields: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.words)

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether a row with these facts stays; a word may be in any fact, `port:` means the whole number."""
        for field, wanted in self.fields:
            if field in facts and not _holds(field, wanted, facts[field].casefold()):
                return False
        if not self.words:
            return True
        everything = "\n".join(facts.values()).casefold()
        return all(word in everything for word in self.words)


def _holds(field: str, wanted: str, value: str) -> bool:
    return wanted in value.split() if field == "port" else wanted in value


def parse(text: str) -> Filter:
    """A filter from what was typed; `field:` without a value is not one yet, other colons are plain text."""
    fields: list[tuple[str, str]] = []
    words: list[str] = []
    for part in text.casefold().split():
        field, colon, value = part.partition(":")
        if colon and field in FIELDS:
            if value:
                fields.append((field, value))
        else:
            words.append(part)
    return Filter(tuple(fields), tuple(words))
