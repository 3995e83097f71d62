"""`/`: words that narrow every pane, as `port:443 state:TIME_WAIT proc:nginx user:www cache`.

All words must hold. A table skips the words of which its rows know nothing, and says so: `port:` does not empty
the table of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

FIELDS = ("port", "state", "proc", "user")
ALL: tuple[str, ...] = ()
Known = Mapping[str, tuple[str, ...]]
"""Field → the values that the rows of a table can tell apart; ALL: every value."""


class Filter(NamedTuple):
    """A parsed filter; words are case-folded."""

    fields: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.words)

    def known(self, known: Known) -> Filter:
        """The part of the filter that rows which know this much can be asked."""
        return self._replace(fields=tuple(pair for pair in self.fields if _tells(known, *pair)))

    def strange(self, known: Known, rows: str = "") -> str:
        """What to say of the part that says nothing about `rows`; empty where all of it applies."""
        unknown = [field for field, wanted in self.fields if not _tells(known, field, wanted)]
        if not unknown:
            return ""
        what = "filter" if len(unknown) == len(self.fields) + len(self.words) else f"{unknown[0]}:"
        return f"{what} does not apply {f'to {rows}' if rows else 'here'}"

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether a row with these facts stays; a word may be in any fact, `port:` means the whole number."""
        for field, wanted in self.fields:
            if field in facts and not _holds(field, wanted, facts[field].casefold()):
                return False
        if not self.words:
            return True
        everything = "\n".join(facts.values()).casefold()
        return all(word in everything for word in self.words)


def _tells(known: Known, field: str, wanted: str) -> bool:
    values = known.get(field)
    return values is not None and (values == ALL or any(wanted in value.casefold() for value in values))


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
